import { expect, it } from 'vitest'
import { HandleWorld } from '../support/handle-world.ts'
import { heapInUse } from '../support/heap.ts'

it('a handle keeps nothing of 10,000 operations of every kind', async () => {
  const world = new HandleWorld()
  const handle = await world.host().open('memory://b/')
  const image = 'memory://b/app:v1'
  const operations = [
    () => handle.push('fix:app:v1', image),
    () => handle.copy(image, 'memory://b/app:v2'),
    () => handle.inspect(image),
    () => handle.manifest(image),
    () => handle.list('memory://b/', { limit: 1 }),
    () => handle.history('memory://b/app'),
    () => handle.getConfig('memory://b/app'),
    () => handle.stats('memory://b/'),
    () => handle.delete('memory://b/app:v2'),
    () => handle.inspect('memory://b/none:v1').catch(() => undefined),
  ]
  const work = async (rounds: number): Promise<number> => {
    for (let i = 0; i < rounds; i++) for (const operation of operations) await operation()
    // What the store itself remembers of writes (histories, records) is no memory of the handle.
    const bucket = world.buckets.get('b')!
    const kept = await Array.fromAsync(bucket.list('.s3lo/'))
    await bucket.delete(kept.map(({ key }) => key))
    return heapInUse()
  }
  const before = await work(300)
  const after = await work(1000)
  // Less than 100 bytes for each: no operation leaves an object behind.
  expect(after - before).toBeLessThan(1_000_000)
  expect([world.opened, world.closed]).toEqual([['b'], []])
})
