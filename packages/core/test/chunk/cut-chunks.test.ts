import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { cutChunks, cutPieces } from '../../src/chunk/cut-chunks.ts'
import {
  chunksOf,
  type GoldenChunk,
  GOLDEN,
  GOLDEN_UNIFORM,
  goldenStream,
  UNIFORM_LENGTH,
} from './golden.ts'
import { plainCuts } from './plain-cutter.ts'

/** Content in pieces of that many bytes. */
async function* inPieces(content: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += length) yield content.subarray(at, at + length)
}

async function cut(content: Uint8Array, piece = 1_000_003): Promise<GoldenChunk[]> {
  const chunks: GoldenChunk[] = []
  for await (const { offset, bytes, digest } of cutChunks(inPieces(content, piece))) {
    expect(Buffer.compare(bytes, content.subarray(offset, offset + bytes.length))).toBe(0)
    chunks.push([offset, bytes.length, digest.slice('sha256:'.length)])
  }
  return chunks
}

describe('content is cut where the Go program cuts it', () => {
  it('of the beginning of 40 MiB, which are cut as a whole in the long tests', async () => {
    const stream = goldenStream(5_000_000)
    const [first] = await cut(stream)
    expect(first).toEqual(GOLDEN[0])
    expect(plainCuts(stream)[0]).toBe(GOLDEN[0]?.[1])
  })

  it.each(GOLDEN_UNIFORM)('of nothing but the byte %d', async (byte, chunks) => {
    expect(await cut(Buffer.alloc(UNIFORM_LENGTH, byte))).toEqual(chunks)
  })

  it.each([
    [1_048_575, 'fad7fc7b6e76482cf7df4c9ff780e07b7715dc98695a44b87dbb62cdaa04c3fd'],
    [1_048_576, '642607a558c9c932e458f4c3a847928f572e5408b9848e106e7716884e3b5f0a'],
    [1_048_577, 'b0c57deb7b0ac75afeb633355c7a5c9fe2801c24650cb08a55e219a5f12ff99a'],
  ])('of %d bytes, which are one chunk', async (length, digest) => {
    const stream = goldenStream(length)
    expect(await cut(stream)).toEqual([[0, length, digest]])
    expect(plainCuts(stream)).toEqual([length])
  })
})

describe('where content is cut', () => {
  it.each([1_048_576, 65_536, 4093, 9_999_999])(
    'does not depend on pieces of %d bytes',
    async (piece) => {
      const content = randomBytes(9 * 1024 * 1024 + 17)
      expect(await cut(content, piece)).toEqual(chunksOf(content, plainCuts(content)))
    },
  )

  it('does not depend on its place in memory, nor on whether that is shared', async () => {
    // Chunks of 16 MiB, which outgrow their room twice, and what is cut before and after them.
    const content = Buffer.concat([
      randomBytes(3_000_001),
      Buffer.alloc(20_000_001),
      randomBytes(7),
    ])
    const pieces = cutPieces(inPieces(content, 100_003), { isShared: true })
    const found: Uint8Array[] = []
    for await (const { bytes } of pieces) {
      expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
      found.push(bytes)
    }
    expect(found.map(({ length }) => length)).toEqual(plainCuts(content))
    expect(Buffer.concat(found).equals(content)).toBe(true)
  })

  it('is nowhere without content', async () => {
    expect(await cut(new Uint8Array())).toEqual([])
    expect(await Array.fromAsync(cutChunks(emptyPieces()))).toEqual([])
  })
})

async function* emptyPieces(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array()
}
