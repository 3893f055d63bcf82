import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  openRegularFile,
  readBoundedFile,
  readBoundedFileSync,
  readOptionalFile,
} from '../../src/stream/bounded-file.ts'

const posix = process.platform !== 'win32'

describe('reading a small file whole', () => {
  let folder: string
  const at = (name: string): string => join(folder, name)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's3lo-bounded-'))
    await writeFile(at('ten'), '0123456789')
    await symlink(at('ten'), at('link'))
    if (posix) execFileSync('mkfifo', [at('unwritten'), at('written'), at('endless')])
  })
  afterAll(() => rm(folder, { recursive: true }))

  it.each(['ten', 'link'])('gives the content of %s up to the limit', async (name) => {
    expect((await readBoundedFile(at(name), 10)).toString()).toBe('0123456789')
  })

  it('reads the file of a URL', async () => {
    const content = await readBoundedFile(pathToFileURL(at('ten')), 10)
    expect(content.toString()).toBe('0123456789')
  })

  it('refuses a file that is one byte too long', async () => {
    await expect(readBoundedFile(at('ten'), 9)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('tells a missing file from one that cannot be read', async () => {
    await expect(readBoundedFile(at('none'), 9)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(readBoundedFile(at('ten/none'), 9)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(readBoundedFile(folder, 9)).rejects.toMatchObject({ code: 'IO' })
    expect(await readOptionalFile(at('none'), 9)).toBeUndefined()
    await expect(readOptionalFile(folder, 9)).rejects.toMatchObject({ code: 'IO' })
  })

  it('reads, refuses and misses the same without waiting for anything', () => {
    expect(readBoundedFileSync(at('ten'), 10).toString()).toBe('0123456789')
    expect(() => readBoundedFileSync(at('ten'), 9)).toThrow(/larger than 9 bytes/)
    expect(() => readBoundedFileSync(at('none'), 9)).toThrow(/does not exist/)
  })

  it('rejects with the reason of a signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(readBoundedFile(at('ten'), 10, { signal })).rejects.toThrow('enough')
  })

  describe.runIf(posix)('that is none', () => {
    it('ends a device without an end at the limit', async () => {
      await expect(readBoundedFile('/dev/zero', 100_000)).rejects.toMatchObject({
        code: 'INTEGRITY',
      })
    })

    it('takes an empty device for an empty file', async () => {
      expect(await readBoundedFile('/dev/null', 9)).toHaveLength(0)
    })

    it('does not wait for the writer of a pipe', async () => {
      await expect(readBoundedFile(at('unwritten'), 9)).rejects.toMatchObject({ code: 'IO' })
    })

    it('reads a pipe until its writer closes it', async () => {
      const { writer, opened } = await openPipe(at('written'))
      const content = readBoundedFile(at('written'), 100)
      writer.write('first ')
      writer.end('last')
      expect((await content).toString()).toBe('first last')
      await opened.close()
    })

    it('stops waiting for a silent writer when it is told to', async () => {
      const { writer, opened } = await openPipe(at('endless'))
      const controller = new AbortController()
      const content = readBoundedFile(at('endless'), 100, { signal: controller.signal })
      controller.abort(new Error('enough'))
      await expect(content).rejects.toThrow('enough')
      writer.destroy()
      await opened.close()
    })

    it('opens regular files and nothing else', async () => {
      await (await openRegularFile(at('link'))).close()
      for (const path of ['/dev/null', folder, at('unwritten')]) {
        await expect(openRegularFile(path)).rejects.toMatchObject({ code: 'IO' })
      }
      await expect(openRegularFile(at('none'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })
})

/** A pipe whose writer is there and has written nothing. */
async function openPipe(path: string) {
  const { constants, open } = await import('node:fs/promises')
  // A reader lets the writer open; it takes nothing.
  const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = createWriteStream(path)
  await once(writer, 'open')
  return { writer, opened: reader }
}
