import { describe, expect, it } from 'vitest'
import { FaultyBackend } from '../../src/testing/index.ts'
import type { Protection } from '../../src/gc/protection.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { layered, TimedStore } from './world.ts'

const image = layered('one')
const source = manifestKey({ name: 'app', tag: 'latest' })
const target = manifestKey({ name: 'app', tag: 'stable' })

async function retag(protection: Protection): Promise<void> {
  try {
    await protection.publish({
      key: target,
      content: image.root.content,
      digests: successors(parseManifest(image.root.content, 'app')).map(({ digest }) => digest),
      origin: { key: source, content: image.root.content, name: 'app:latest' },
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
    await retag(store.protection(faulty))
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
    await expect(retag(store.protection(faulty))).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await store.backend.head(target)).toBeUndefined()
    expect(await store.keys('.s3lo/')).toEqual([])
  })
})
