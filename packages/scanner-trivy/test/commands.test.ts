import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Host, SbomResult, ScanResult } from '@s3lo/core'
import { runCommand } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import SbomCommand from '../src/commands/sbom.ts'
import ScanCommand from '../src/commands/scan.ts'

const HOSTILE = 'a\tb\n\u001B]0;title\u0007\u009B31m\u202Ered\n'
const SHOWN = 'a\tb\n\\x1b]0;title\\x07\\x9b31m\\u{202e}red\n'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-trivy-commands-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** What a command prints, on a terminal or not, of a host whose scanner says hostile things. */
async function run(
  argv: readonly string[],
  isTTY = false,
  given: Partial<Host> = {},
  stdin = new PassThrough(),
): Promise<string> {
  const stdout = Object.assign(new PassThrough(), { isTTY })
  const looked = { ref: 'r', digest: 'd', platform: 'p', scanner: 'trivy', format: '' }
  const scanned: ScanResult = { ...looked, findings: false, report: HOSTILE }
  const listed: SbomResult = { ...looked, sbom: HOSTILE }
  const operations: Partial<Host> = {
    scan: () => Promise.resolve(scanned),
    sbom: () => Promise.resolve(listed),
    ...given,
  }
  const [name, ...words] = argv
  const command = name === 'scan' ? ScanCommand : SbomCommand
  const output = await runCommand<(typeof command)['parameters']>(command, words, {
    host: operations as Host,
    stdin: Object.assign(stdin, { isTTY }),
    stdout,
    stderr: Object.assign(new PassThrough(), { isTTY }),
  })
  return output.render(output.result)
}

describe('what an image has in it', () => {
  it('is not obeyed by a terminal in a table, wherever that goes', async () => {
    expect(await run(['scan', 'ref'])).toBe(SHOWN)
    expect(await run(['scan', 'ref'], true)).toBe(SHOWN)
  })

  it.each([['scan'], ['sbom']])(
    'is not obeyed in the text of %s on a terminal',
    async (command) => {
      expect(await run([command, 'ref', '--format', 'spdx'], true)).toBe(SHOWN)
    },
  )

  it.each([
    ['scan', 'json'],
    ['scan', 'sarif'],
    ['scan', 'spdx'],
    ['sbom', 'cyclonedx'],
    ['sbom', 'spdx'],
  ])('stays as it is for programs: %s in %s', async (command, format) => {
    expect(await run([command, 'ref', '--format', format])).toBe(HOSTILE)
  })

  it('stays as it is in a file', async () => {
    const file = join(folder, 'app.spdx')
    expect(await run(['sbom', 'ref', '--format', 'spdx', '-O', file], true)).toBe('')
    expect(await readFile(file, 'utf8')).toBe(HOSTILE)
  })
})

describe('the question whether to install trivy', () => {
  /** What the scanner is answered when this is typed. */
  async function answer(typed: string): Promise<string> {
    const stdin = new PassThrough()
    const scan: Host['scan'] = async (ref, { settings } = {}) => {
      const ask = settings?.['ask'] as (question: string) => Promise<string>
      const asking = ask('Install it? ')
      stdin.write(typed)
      const looked = { ref, digest: 'd', platform: 'p', scanner: 'trivy', format: 'table' }
      return { ...looked, findings: false, report: await asking }
    }
    return run(['scan', 'ref'], true, { scan }, stdin)
  }

  it('is answered by a line', async () => {
    expect(await answer('no\n')).toBe('no\n')
  })

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is cancelled by %s', async (_, typed) => {
    await expect(answer(typed)).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
