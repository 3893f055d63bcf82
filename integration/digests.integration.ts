/** A digest stays pullable on every kind of store after its tag has moved or gone, and a clean ends that in time. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clean, copy, deleteTag, ImageStore, restore, type StorageBackend } from '@s3lo/core'
import {
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '@s3lo/core/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'

const MOVES = 50
/** The clock of a store may show whole seconds: what was written in this one is young. */
const CLEAN = { confirm: true, graceMs: -1000 }
const V1 = { name: 'team/app', tag: 'v1' }
const work = await mkdtemp(join(tmpdir(), 's3lo-digests-'))
afterAll(() => rm(work, { recursive: true }))

function digestOf({ root }: ImageFixture): string {
  return root.descriptor.digest
}

const index = indexFixture({
  'linux/amd64': imageFixture({ layers: ['amd64'], platform: 'linux/amd64' }),
  'linux/arm64': imageFixture({ layers: ['arm64'], platform: 'linux/arm64' }),
})
const other = imageFixture({ layers: ['of another image'] })

describe.each(cloudStores(work).map((store) => [store.name, store] as const))(
  'in %s',
  (_, cloud) => {
    let bucket: string
    let backend: StorageBackend
    let store: ImageStore

    beforeEach(async () => {
      bucket = await cloud.makeBucket()
      backend = await cloud.open(bucket)
      store = new ImageStore(backend)
    })
    afterEach(async () => {
      await backend.close?.()
      await removeBucket(cloud, bucket)
    })

    async function push(image: ImageFixture): Promise<void> {
      const source = new FixtureSource({ 'team/app:v1': image })
      await copy({ source, reference: V1 }, { target: store, reference: V1 })
    }

    /** Reads every manifest and blob of the image, verified, with a store that remembers nothing. */
    async function pull(image: ImageFixture): Promise<void> {
      const reference = { name: V1.name, digest: digestOf(image) }
      const target = new ImageStore(new MemoryBackend())
      await copy({ source: new ImageStore(backend), reference }, { target, reference: V1 })
    }

    function place(): Parameters<typeof deleteTag>[1] {
      return { scheme: backend.scheme, bucket: backend.bucket, ...V1 }
    }

    it(`every digest is pulled after its tag has moved, of ${MOVES}`, async () => {
      const images = [index]
      for (let i = 0; i < MOVES; i++) images.push(imageFixture({ layers: [`version ${i}`] }))
      for (const image of images) await push(image)
      await clean(store, '', CLEAN)
      for (const image of images) await pull(image)
    })

    it(`every digest is pulled after ${MOVES} moves, every other by a writer that knows tags only`, async () => {
      const images = [index]
      for (let i = 0; i < MOVES; i++) images.push(imageFixture({ layers: [`version ${i}`] }))
      // What it moves the tag away from has its record from the push.
      for (const [i, image] of images.entries()) {
        await (i % 2 === 0 ? push(image) : putImage(backend, V1, image))
      }
      await clean(store, '', CLEAN)
      for (const image of images) await pull(image)
    })

    it('an image of a writer that knows tags only is kept by the next move', async () => {
      await putImage(backend, V1, index)
      await push(other)
      await clean(store, '', CLEAN)
      await pull(index)
    })

    it('an image is restored byte for byte, and gone at once when it is purged', async () => {
      await putImage(backend, { name: 'other', tag: 'v1' }, other)
      await push(index)
      await deleteTag(store, place())
      await clean(store, '', CLEAN)
      expect(await restore(store, place())).toMatchObject({ digest: digestOf(index) })
      const restored = await store.read(V1)
      expect(Buffer.compare(restored.content, index.root.content)).toBe(0)
      await pull(index)
      await deleteTag(store, place(), { purge: true })
      await clean(store, '', CLEAN)
      const left = await Array.fromAsync(backend.list('blobs/'), ({ key }) => key)
      expect(left).toHaveLength(other.content.size)
    })
  },
)
