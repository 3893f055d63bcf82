import { PassThrough, Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { promptLine, readPassword, type Terminal } from '../src/read-password.ts'
import { S3loError } from '@s3lo/core/plugin'

describe('readPassword', () => {
  it.each([
    ['s3cret', 's3cret'],
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    [' pä ss ', ' pä ss '],
  ])('reads %j', async (text, password) => {
    expect(await readPassword(Readable.from([Buffer.from(text)]))).toBe(password)
  })

  it.each(['', '\n', 'a\nb\n', 'x'.repeat(100_000)])('refuses what is no line', async (text) => {
    await expect(readPassword(Readable.from([text]))).rejects.toMatchObject({ code: 'USAGE' })
  })
})

describe('promptLine', () => {
  function terminal() {
    const modes: boolean[] = []
    const setRawMode = (isRaw: boolean): void => void modes.push(isRaw)
    const input: PassThrough & Terminal = Object.assign(new PassThrough(), { setRawMode })
    const output = new PassThrough({ encoding: 'utf8' })
    return { input, output, modes, shown: (): string => String(output.read() ?? '') }
  }

  it('shows nothing of a password, and leaves the terminal as it was', async () => {
    const { input, output, modes, shown } = terminal()
    const asked = promptLine('Password: ', { input, output, echo: false })
    input.write('s3c')
    input.write('ret\rmore')
    expect(await asked).toBe('s3cret')
    expect(shown()).toBe('Password: \n')
    expect(modes).toEqual([true, false])
    expect(input.isPaused()).toBe(true)
  })

  it('shows a name while it is typed', async () => {
    const { input, output, shown } = terminal()
    const asked = promptLine('Username: ', { input, output, echo: true })
    input.write('alx\u007fice\n')
    expect(await asked).toBe('alice')
    expect(shown()).toBe('Username: alx\b \bice\n')
  })

  it('takes characters that come in parts, and forgets a line', async () => {
    const { input, output } = terminal()
    const asked = promptLine('', { input, output, echo: false })
    const typed = Buffer.from('wrong\u0015pä\u001bss\n')
    for (const byte of typed) input.write(Buffer.of(byte))
    expect(await asked).toBe('päss')
  })

  it.each(['\u0003', '\u0004', 'abc\u0003'])('is cancelled by %j', async (typed) => {
    const { input, output, modes } = terminal()
    const asked = promptLine('', { input, output, echo: false })
    input.write(typed)
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
    expect(modes).toEqual([true, false])
  })

  it('ends with its input', async () => {
    const { input, output } = terminal()
    const asked = promptLine('', { input, output, echo: false })
    input.end()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('ends with its signal', async () => {
    const { input, output, modes } = terminal()
    const controller = new AbortController()
    const asked = promptLine('', { input, output, echo: false, signal: controller.signal })
    controller.abort(new S3loError('UNAVAILABLE', 'too late'))
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(modes).toEqual([true, false])
  })
})
