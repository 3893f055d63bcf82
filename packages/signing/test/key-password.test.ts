import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Host } from '@s3lo/core'
import { runCommand } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import GenerateKeyPairCommand from '../src/commands/generate-key-pair.ts'
import { askPassword } from '../src/commands/key-password.ts'

function terminal() {
  const setRawMode = (): void => {}
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode })
  return { stdin, stderr: new PassThrough() }
}

describe('a question for a password', () => {
  it('is answered by a line, which may be empty', async () => {
    for (const typed of ['pass', '']) {
      const { stdin, stderr } = terminal()
      stdin.write(`${typed}\r`)
      expect(await askPassword('Password', { stdin, stderr })).toBe(typed)
    }
  })

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
    ['Ctrl-D after something', 'pass\u0004'],
  ])('is cancelled by %s', async (_, typed) => {
    const { stdin, stderr } = terminal()
    stdin.write(typed)
    const asking = askPassword('Password', { stdin, stderr })
    await expect(asking).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('is cancelled by the end of the terminal', async () => {
    const { stdin, stderr } = terminal()
    stdin.end()
    const asking = askPassword('Password', { stdin, stderr })
    await expect(asking).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

it('generate-key-pair writes no key when its question is cancelled', async () => {
  const folder = await mkdtemp(join(tmpdir(), 's3lo-key-password-'))
  try {
    const { stdin, stderr } = terminal()
    // Each question would take one for an answer.
    stderr.on('data', (text: Buffer) => {
      if (text.toString().includes(': ')) stdin.write('\u0004')
    })
    const words = ['--output-key-prefix', join(folder, 'key')]
    const running = runCommand(GenerateKeyPairCommand, words, { host: {} as Host, stdin, stderr })
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await readdir(folder)).toEqual([])
  } finally {
    await rm(folder, { recursive: true })
  }
})
