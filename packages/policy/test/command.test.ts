import { PassThrough } from 'node:stream'
import type { CommandContext, CommandOutput, Host, ValidateResult } from '@s3lo/core'
import { Cli } from 'clipanion'
import { expect, it } from 'vitest'
import ConfigValidateCommand from '../src/commands/config-validate.ts'

it('config validate prints nothing of a policy that a terminal would obey or hide', async () => {
  const results = [{ name: 'a\u001B[2J\u202E', passed: false, message: 'b\u009B\u2028\u200Bc' }]
  const validated = { results, all_passed: false } as unknown as ValidateResult
  const operations: Partial<Host> = { validate: () => Promise.resolve(validated) }
  let output: CommandOutput | undefined
  const stream = new PassThrough()
  const context: CommandContext = {
    env: {},
    stdin: stream,
    stdout: stream,
    stderr: stream,
    colorDepth: 1,
    runCommand: async (work) => {
      output = await work({ host: operations as Host, options: {}, status: () => {} })
      return 0
    },
  }
  const cli = new Cli<CommandContext>()
  cli.register(ConfigValidateCommand)
  await cli.run(['config', 'validate', 'ref'], context)
  const text = output?.render(output.result) ?? ''
  expect(text).toContain('\\x1b[2J')
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
})
