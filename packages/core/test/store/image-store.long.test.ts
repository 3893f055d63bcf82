import { expect, it } from 'vitest'
import { manifestKey } from '../../src/layout/keys.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend } from '../../src/testing/index.ts'
import { heapInUse } from '../support/heap.ts'

it('one store that reads very many images and settings stays as small as it was', async () => {
  let now = 0
  const bucket = new MemoryBackend()
  const store = new ImageStore(bucket, { clock: () => now })
  const work = async (from: number, count: number): Promise<number> => {
    for (let i = from; i < from + count; i++) {
      const reference = { name: 'app', tag: `v${i}` }
      const { root } = imageFixture({ layers: [`layer ${i}`] })
      const key = manifestKey(reference)
      await bucket.put(key, root.content)
      now += 6000
      await store.config()
      const descriptor = await store.resolve(reference)
      for await (const _ of await store.fetch(descriptor)) continue
      await bucket.delete([key])
    }
    return heapInUse()
  }
  // Until everything that is kept has come to its bounds.
  const before = await work(0, 20_000)
  const after = await work(20_000, 20_000)
  expect(after - before).toBeLessThan(2_000_000)
})
