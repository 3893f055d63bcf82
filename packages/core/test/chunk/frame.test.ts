import { randomBytes } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import {
  decodeFrame,
  encodeFrame,
  MAX_FRAME_BYTES,
  type StoredChunk,
} from '../../src/chunk/frame.ts'
import { MAX_CHUNK_BYTES } from '../../src/chunk/gear.ts'
import { digestOf } from '../../src/oci/digest.ts'

const RAW = Buffer.from('some text, some text, some text')

async function stored(raw: Uint8Array): Promise<readonly [StoredChunk, Uint8Array]> {
  const frame = await encodeFrame(raw)
  const chunk = {
    raw: digestOf(raw),
    size: raw.length,
    frame: digestOf(frame),
    frameSize: frame.length,
  }
  return [chunk, frame]
}

it.each([1, 300, 70_000, 3_000_000])(
  'a frame of %d bytes says their number, and has a checksum',
  async (length) => {
    const raw = randomBytes(length)
    const [chunk, frame] = await stored(raw)
    const header = Buffer.from(frame)
    // RFC 8878, 3.1.1.1.1: a flag for the size of the content, one for the checksum.
    const descriptor = header[4]!
    expect([header.readUInt32LE(), descriptor & 4, descriptor & 3]).toEqual([0xfd2f_b528, 4, 0])
    const isSingle = (descriptor & 0x20) !== 0
    const at = isSingle ? 5 : 6
    const size = [
      () => header.readUInt8(at),
      () => header.readUInt16LE(at) + 256,
      () => header.readUInt32LE(at),
    ][descriptor >> 6]?.()
    expect(size).toBe(length)
    expect(Buffer.from(await decodeFrame(chunk, frame)).equals(raw)).toBe(true)
  },
)

it.each([0, 1, 4_000_000])('%d bytes are one frame, made in one pass', async (length) => {
  const raw = Buffer.alloc(length, 'some text that repeats, and ')
  const params = {
    [constants.ZSTD_c_compressionLevel]: 2,
    [constants.ZSTD_c_contentSizeFlag]: 1,
    [constants.ZSTD_c_checksumFlag]: 1,
  }
  const frame = Buffer.from(await encodeFrame(raw))
  expect(frame.equals(zstdCompressSync(raw, { params }))).toBe(true)
})

it('the longest chunk that cannot be compressed has no longer frame than is read', async () => {
  const [chunk] = await stored(randomBytes(MAX_CHUNK_BYTES / 16))
  expect(chunk.frameSize - chunk.size).toBeLessThan((MAX_FRAME_BYTES - MAX_CHUNK_BYTES) / 16)
})

it('a frame that is not what its chunk says is damaged', async () => {
  const [chunk, frame] = await stored(RAW)
  const other = Buffer.from(zstdCompressSync(Buffer.from('another text')))
  const wrong: readonly (readonly [StoredChunk, Uint8Array])[] = [
    [chunk, frame.subarray(1)],
    [chunk, other],
    [{ ...chunk, frameSize: 1 }, frame],
    [{ ...chunk, raw: digestOf(other) }, frame],
    // Decoding ends at the size that the recipe has.
    [{ ...chunk, size: 5 }, frame],
    [{ ...chunk, size: RAW.length + 1 }, frame],
    [{ ...chunk, frame: digestOf(RAW), frameSize: RAW.length }, RAW],
    [{ ...chunk, frame: digestOf(other), frameSize: other.length }, other],
  ]
  for (const [described, bytes] of wrong) {
    await expect(decodeFrame(described, bytes)).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
})
