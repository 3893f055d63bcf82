import type { Host, ValidateResult } from '@s3lo/core'
import { runCommand } from '@s3lo/core/testing'
import { expect, it } from 'vitest'
import ConfigValidateCommand from '../src/commands/config-validate.ts'

it('config validate prints nothing of a policy that a terminal would obey or hide', async () => {
  const results = [{ name: 'a\u001B[2J\u202E', passed: false, message: 'b\u009B\u2028\u200Bc' }]
  const validated = { results, all_passed: false } as unknown as ValidateResult
  const operations: Partial<Host> = { validate: () => Promise.resolve(validated) }
  const output = await runCommand(ConfigValidateCommand, ['ref'], {
    host: operations as Host,
  })
  const text = output.render(output.result)
  expect(text).toContain('\\x1b[2J')
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
})
