import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { type Compression, compressionOf, decompress } from '../../src/stream/decompress.ts'

const first = Buffer.alloc(5000, 'first')
const random = randomBytes(700_000)
const last = Buffer.alloc(3_000_000, 'last')
const plain = Buffer.concat([first, random, last])
const frames = [first, random, last].map((part) => zstdCompressSync(part))

/** RFC 8878, section 3.1.2. */
const skippable = Buffer.from('5f2a4d1805000000', 'hex')
const skipped = Buffer.concat([skippable, Buffer.from('12345')])

function* cut(content: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size)
}

async function outOf(
  chunks: Iterable<Uint8Array>,
  compression: Compression = 'zstd',
): Promise<Buffer> {
  const content = Readable.from(chunks, { objectMode: false })
  return Buffer.concat(await Array.fromAsync(decompress(content, compression, 'it')))
}

describe('decompressing', () => {
  it.each([
    ['after each other', frames],
    ['with others to be skipped between them', frames.flatMap((frame) => [frame, skipped])],
    ['behind one to be skipped', [skipped, ...frames]],
    ['of which one is empty', [zstdCompressSync(Buffer.alloc(0)), ...frames]],
  ])('zstd gives all frames %s, wherever chunks end', async (_, parts) => {
    const content = Buffer.concat(parts)
    for (const size of [content.length, 65_536, frames[0]!.length, 1009]) {
      expect((await outOf(cut(content, size))).equals(plain)).toBe(true)
    }
    expect((await outOf(parts)).equals(plain)).toBe(true)
  })

  it('goes through frames and members byte by byte', async () => {
    const texts = ['a', 'b', 'c'.repeat(3000)].map((text) => Buffer.from(text))
    const zstd = texts.flatMap((text) => [zstdCompressSync(text), skipped])
    const gzip = texts.map((text) => gzipSync(text))
    expect(await outOf(cut(Buffer.concat(zstd), 1))).toEqual(Buffer.concat(texts))
    expect(await outOf(cut(Buffer.concat(gzip), 1), 'gzip')).toEqual(Buffer.concat(texts))
  })

  it('gives all members of a gzip, with zeros behind them', async () => {
    const members = [first, random, last].map((part) => gzipSync(part))
    const content = Buffer.concat([...members, Buffer.alloc(100_000)])
    for (const size of [content.length, 65_536, members[0]!.length, 1009]) {
      expect((await outOf(cut(content, size), 'gzip')).equals(plain)).toBe(true)
    }
  })

  it.each([
    ['in its first frame', frames[0]!.subarray(0, 10)],
    ['in a later frame', Buffer.concat([frames[0]!, frames[1]!.subarray(0, 9000)])],
    ['by one byte', Buffer.concat(frames).subarray(0, -1)],
    ['in the magic number of a frame', Buffer.concat([frames[0]!, frames[1]!.subarray(0, 2)])],
    ['in a frame to be skipped', Buffer.concat([frames[0]!, skipped.subarray(0, -1)])],
    ['to nothing', Buffer.alloc(0)],
  ])('refuses what is cut short %s', async (_, content) => {
    for (const size of [content.length, 997]) {
      await expect(outOf(cut(content, size))).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  it('refuses what follows a frame and is none', async () => {
    const content = Buffer.concat([frames[0]!, Buffer.alloc(100)])
    for (const size of [content.length, frames[0]!.length, 7]) {
      await expect(outOf(cut(content, size))).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  it('fails as the content does, and frees it', async () => {
    const failure = new S3loError('UNAVAILABLE', 'the store is gone')
    for (const compression of ['zstd', 'gzip'] as const) {
      const content = Readable.from(
        (function* () {
          yield (compression === 'zstd' ? zstdCompressSync : gzipSync)(random).subarray(0, 1000)
          throw failure
        })(),
        { objectMode: false },
      )
      await expect(Array.fromAsync(decompress(content, compression, 'it'))).rejects.toBe(failure)
      expect(content.destroyed).toBe(true)
    }
  })

  it('reads no more than it must for a consumer that stops, and frees the content', async () => {
    const content = Readable.from(cut(Buffer.concat([...frames, ...frames]), 1000), {
      objectMode: false,
    })
    for await (const chunk of decompress(content, 'zstd', 'it')) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    if (!content.closed) await once(content, 'close')
    expect(content.readableEnded).toBe(false)
  })
})

describe('the compression of content', () => {
  it.each([
    ['gzip', 'gzip', gzipSync('a')],
    ['zstd', 'zstd', frames[0]!],
    ['zstd that starts with a frame to be skipped', 'zstd', skipped],
    ['anything else', undefined, Buffer.from('hello')],
    ['less than there has to be', undefined, Buffer.from('282ab5', 'hex')],
    ['nothing', undefined, Buffer.alloc(0)],
  ])('is told by its first bytes: %s', (_, compression, content) => {
    expect(compressionOf(content)).toBe(compression)
  })
})
