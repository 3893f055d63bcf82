import { expect, it } from 'vitest'
import { ChunkPool, recycle } from '../../src/stream/recycle.ts'

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
