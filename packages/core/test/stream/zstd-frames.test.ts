import { constants, zstdCompressSync } from 'node:zlib'
import { array, assert, constantFrom, integer, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ZstdFrames } from '../../src/stream/zstd-frames.ts'

const CHECKSUM = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const WITHOUT_SIZE = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }

/** Frames of every kind: sizes of content of every width, blocks of every type, with and without checksum. */
const FRAMES = [
  zstdCompressSync(Buffer.alloc(0)),
  zstdCompressSync(Buffer.from('short')),
  zstdCompressSync(Buffer.alloc(300, 'a')),
  zstdCompressSync(Buffer.alloc(100_000, 'repeated '), CHECKSUM),
  zstdCompressSync(Buffer.alloc(300_000), WITHOUT_SIZE),
  zstdCompressSync(
    Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * i * 31) >> 7)),
    CHECKSUM,
  ),
  Buffer.from('5f2a4d18050000003132333435', 'hex'),
]

function isWhole(content: Uint8Array, step = content.length): boolean {
  const frames = new ZstdFrames()
  for (let at = 0; at < content.length; at += step) frames.push(content.subarray(at, at + step))
  return frames.isWhole
}

describe('frames of zstd', () => {
  it('are whole at the end of each, and nowhere inside', () => {
    for (const frame of FRAMES) {
      expect(isWhole(frame)).toBe(true)
      const frames = new ZstdFrames()
      for (let at = 0; at < frame.length - 1; at += 1) {
        frames.push(frame.subarray(at, at + 1))
        if (frames.isWhole) throw new Error(`whole at ${at + 1} of ${frame.length} bytes`)
      }
    }
  })

  it('are whole one after the other, wherever chunks end', () => {
    const order = array(constantFrom(...FRAMES), { minLength: 1, maxLength: 6 })
    assert(
      property(order, integer({ min: 1, max: 70_000 }), (parts, step) => {
        const content = Buffer.concat(parts)
        return isWhole(content, step) && !isWhole(content.subarray(0, -1), step)
      }),
      { numRuns: 60 },
    )
  })

  it('are not there in nothing, and in other content', () => {
    expect(isWhole(Buffer.alloc(0))).toBe(false)
    expect(isWhole(Buffer.from('no zstd at all'))).toBe(false)
    expect(isWhole(Buffer.concat([FRAMES[1]!, Buffer.alloc(4)]))).toBe(false)
  })
})
