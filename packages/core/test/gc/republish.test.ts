import { describe, expect, it } from 'vitest'
import { FaultyBackend } from '../../src/testing/index.ts'
import { republish } from '../../src/gc/republish.ts'
import type { Protection } from '../../src/gc/writer.ts'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { readObject } from '../../src/store/read-object.ts'
import { layered, TimedStore } from './world.ts'

const image = layered('one')
const source = manifestKey({ name: 'app', tag: 'latest' })
const target = manifestKey({ name: 'app', tag: 'stable' })

async function retag(backend: StorageBackend, protection: Protection): Promise<void> {
  try {
    await republish(protection, {
      name: 'app:latest',
      content: image.root.content,
      digests: successors(parseManifest(image.root.content, 'app')).map(({ digest }) => digest),
      readSource: () => readObject(backend, source, 1_000_000),
      put: async ({ notAfter }) => {
        await backend.put(target, image.root.content, { notAfter })
      },
      hasLanded: async () => (await backend.head(target)) !== undefined,
    })
  } finally {
    await protection.release()
  }
}

describe('a retag', () => {
  it('looks at its source once more and at no blob', async () => {
    const store = new TimedStore()
    await store.plant(image, 'app')
    const faulty = new FaultyBackend(store.backend)
    await retag(faulty, store.protection(faulty))
    expect(faulty.calls.map(({ method }) => method)).toEqual([
      'put',
      'list',
      'get',
      'put',
      'delete',
    ])
    expect(await store.backend.head(target)).toBeDefined()
  })

  it.each([
    ['deleted', (store: TimedStore) => store.backend.delete([source])],
    ['overwritten', (store: TimedStore) => store.backend.put(source, layered('x').root.content)],
  ])('publishes nothing when its source was %s before the pins', async (_, change) => {
    const store = new TimedStore()
    await store.plant(image, 'app')
    const faulty = new FaultyBackend(store.backend, {
      after: async ({ method, key }) => {
        if (method === 'put' && key.startsWith('.s3lo/gc/pins/')) await change(store)
      },
    })
    await expect(retag(faulty, store.protection(faulty))).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await store.backend.head(target)).toBeUndefined()
    expect(await store.keys('.s3lo/')).toEqual([])
  })
})
