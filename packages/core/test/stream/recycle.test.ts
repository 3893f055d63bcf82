import { expect, it } from 'vitest'
import { ChunkPool, recycle, SizedPool } from '../../src/stream/recycle.ts'

it('a chunk that is recycled is filled again, and one that is kept is not', () => {
  const pool = new ChunkPool(16)
  const kept = pool.take()
  const done = pool.take()
  recycle(done.subarray(3, 5))
  const again = pool.take()
  expect(again.buffer).toBe(done.buffer)
  expect([again.byteOffset, again.length]).toEqual([0, 16])
  expect(pool.take().buffer).not.toBe(kept.buffer)
})

it('a chunk is given back once, and one of no pool not at all', () => {
  const pool = new ChunkPool(16)
  const chunk = pool.take()
  for (const _ of ['once', 'twice']) recycle(chunk)
  recycle(Buffer.from('foreign'))
  expect(pool.take().buffer).toBe(chunk.buffer)
  expect(pool.take().buffer).not.toBe(chunk.buffer)
})

const MIB = 1024 * 1024

it('a long piece gets recycled memory in which it has room, and not much more than that', () => {
  const pool = new SizedPool(8 * MIB)
  const long = pool.take(4 * MIB)
  recycle(long)
  expect(pool.take(MIB).buffer).not.toBe(long.buffer)
  const shorter = pool.take(3 * MIB - 1)
  expect(shorter.buffer).toBe(long.buffer)
  expect([shorter.byteOffset, shorter.length]).toEqual([0, 3 * MIB - 1])
  expect(pool.take(3 * MIB).buffer).not.toBe(long.buffer)
})

it('no more memory waits for its next use than was allowed', () => {
  const pool = new SizedPool(2 * MIB)
  const pieces = [pool.take(MIB), pool.take(MIB), pool.take(MIB)]
  for (const piece of pieces) recycle(piece)
  const again = [pool.take(MIB), pool.take(MIB), pool.take(MIB)]
  const [first, ...others] = pieces.map(({ buffer }) =>
    again.some((each) => each.buffer === buffer),
  )
  expect([first, ...others]).toEqual([false, true, true])
})
