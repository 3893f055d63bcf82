import { expect, it } from 'vitest'
import { clean } from '../../src/operations/clean.ts'
import { stats } from '../../src/operations/stats.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'

/** Where a backend keeps what it has found out about its service. */
const RECORD = '.s3lo/guarantees/0123456789abcdef.json'

it('a record of guarantees is no content: nothing counts it, and no clean removes it', async () => {
  const backend = new MemoryBackend()
  await putImage(backend, { name: 'app', tag: 'v1' }, imageFixture({ layers: ['layer'] }))
  const store = new ImageStore(backend)
  const before = await stats(store)
  await backend.put(RECORD, Buffer.from('{}\n'))
  expect(await stats(store)).toEqual(before)
  const { scanned } = await clean(store, '', { confirm: true, graceMs: 0 })
  await backend.delete([RECORD])
  const without = await clean(store, '', { confirm: true, graceMs: 0 })
  expect(scanned).toBe(without.scanned)
  await backend.put(RECORD, Buffer.from('{}\n'))
  await clean(store, '', { confirm: true, graceMs: 0 })
  expect(await backend.head(RECORD)).toBeDefined()
})
