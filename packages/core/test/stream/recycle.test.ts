import { expect, it } from 'vitest'
import { ChunkPool, recyclable, recycle, SizedPool } from '../../src/stream/recycle.ts'

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

/** Pieces of up to this length have room in the same buffers (bytes). */
const ROOM = 6 * 1024 * 1024

it('a long piece gets recycled memory in which it has room, and not much more than that', () => {
  const pool = new SizedPool(8 * ROOM)
  const long = pool.take(2 * ROOM)
  recycle(long)
  expect(pool.take(ROOM).buffer).not.toBe(long.buffer)
  const shorter = pool.take(2 * ROOM - 1)
  expect(shorter.buffer).toBe(long.buffer)
  expect([shorter.byteOffset, shorter.length]).toEqual([0, 2 * ROOM - 1])
  expect(pool.take(2 * ROOM).buffer).not.toBe(long.buffer)
})

it.each([false, true])('no more memory waits for its next use than was allowed', (isShared) => {
  const pool = new SizedPool(2 * ROOM, isShared)
  const pieces = [pool.take(ROOM), pool.take(1), pool.take(ROOM)]
  for (const { buffer } of pieces) expect(buffer instanceof SharedArrayBuffer).toBe(isShared)
  for (const piece of pieces) recycle(piece)
  const again = [pool.take(ROOM), pool.take(ROOM), pool.take(ROOM)]
  const isUsed = pieces.map(({ buffer }) => again.some((each) => each.buffer === buffer))
  expect(isUsed).toEqual([false, true, true])
})

it('a recyclable chunk is freed at once, unless others share its memory or it is small', () => {
  const large = recyclable(Buffer.allocUnsafeSlow(64 * 1024))
  recycle(large.subarray(3, 5))
  recycle(large)
  expect(large.buffer.byteLength).toBe(0)
  const shared = Buffer.allocUnsafeSlow(64 * 1024)
  recycle(recyclable(shared.subarray(1)))
  expect(shared.buffer.byteLength).toBe(64 * 1024)
  const small = recyclable(Buffer.allocUnsafeSlow(16))
  recycle(small)
  expect(small.buffer.byteLength).toBe(16)
})
