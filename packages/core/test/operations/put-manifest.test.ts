import { describe, expect, it } from 'vitest'
import { putManifest } from '../../src/operations/put-manifest.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { recordKey, referrerEntryKey } from '../../src/layout/repository-keys.ts'
import { successors } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
  referrerFixture,
} from '../../src/testing/index.ts'
import { S3loError } from '../../src/errors.ts'

const APP = 'team/app'
const image = imageFixture({ layers: ['layer'] })
const { digest } = image.root.descriptor

async function storeWith(...images: readonly ImageFixture[]): Promise<ImageStore> {
  const backend = new MemoryBackend()
  for (const { content } of images) {
    for (const [named, bytes] of content) await backend.put(blobKey(named), bytes)
  }
  return new ImageStore(backend)
}

function put(store: ImageStore, { root }: ImageFixture, ...tags: readonly string[]) {
  const isByDigest = tags.length === 0
  return putManifest(store, { repository: APP, document: root, isByDigest, tags })
}

describe('putManifest', () => {
  it('writes a record and a blob for a digest, so that an index may name it', async () => {
    const store = await storeWith(image)
    expect(await put(store, image)).toEqual({ kind: 'published' })
    expect(await store.backend.head(recordKey(APP, digest))).toBeDefined()
    expect(await store.backend.head(blobKey(digest))).toBeDefined()
    expect(await put(store, indexFixture({ 'linux/amd64': image }), 'v1')).toEqual({
      kind: 'published',
    })
  })

  it('writes the record of a tagged manifest, and the tag last', async () => {
    const { backend } = await storeWith(image)
    const keys: string[] = []
    const faulty = new FaultyBackend(backend, {
      before: ({ method, key }) => {
        if (method === 'put' && !key.includes('/gc/')) keys.push(key)
      },
    })
    await put(new ImageStore(faulty), image, 'v1')
    const tag = manifestKey({ name: APP, tag: 'v1' })
    expect(keys.slice(0, 2)).toEqual([recordKey(APP, digest), tag])
  })

  it('names what is missing in the order of the manifest, and writes nothing', async () => {
    const store = await storeWith()
    const missing = successors(image.root.manifest).map((entry) => entry.digest)
    expect(await put(store, image, 'v1')).toEqual({ kind: 'incomplete', missing })
    expect(await put(store, image)).toEqual({ kind: 'incomplete', missing })
    expect(await Array.fromAsync(store.backend.list('manifests/'))).toEqual([])
    expect(await Array.fromAsync(store.backend.list('.s3lo/gc/'))).toEqual([])
  })

  it('never takes a failed look for a missing blob', async () => {
    const { backend } = await storeWith(image)
    const faulty = new FaultyBackend(backend, {
      before: ({ method, key }) => {
        if (method === 'head' && key.startsWith('blobs/')) throw new S3loError('UNAVAILABLE', 'no')
      },
    })
    await expect(put(new ImageStore(faulty), image, 'v1')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })

  it('lists a referrer after its record', async () => {
    const referrer = referrerFixture(image.root.descriptor, 'x/sbom', 'all')
    const store = await storeWith(referrer)
    await put(store, referrer)
    const key = referrerEntryKey(APP, digest, referrer.root.descriptor.digest)
    expect(await store.backend.head(key)).toBeDefined()
  })

  it('asks whether each blob may be named, and takes others for missing', async () => {
    const store = await storeWith(image)
    const [config, layer] = successors(image.root.manifest).map((entry) => entry.digest)
    const request = { repository: APP, document: image.root, isByDigest: true, tags: [] }
    expect(
      await putManifest(store, request, { mayName: async (named) => named === config }),
    ).toEqual({ kind: 'incomplete', missing: [layer] })
  })

  it('leaves a tag that is not what is expected', async () => {
    const store = await storeWith(image)
    const request = { repository: APP, document: image.root, isByDigest: false, tags: ['v1'] }
    for (const expects of [{ kind: 'present' }, { kind: 'one-of', digests: [digest] }] as const) {
      await expect(putManifest(store, request, { expects })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
    }
    await putManifest(store, request, { expects: { kind: 'absent' } })
    await putManifest(store, request, { expects: { kind: 'one-of', digests: [digest] } })
    await expect(
      putManifest(store, request, { expects: { kind: 'absent' } }),
    ).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
