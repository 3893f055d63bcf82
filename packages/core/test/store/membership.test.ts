import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { S3loError } from '../../src/errors.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { linksPrefix, memberKey, recordKey } from '../../src/layout/repository-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { type ManifestDocument, successors } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { openMembership } from '../../src/store/membership.ts'
import { openUploads } from '../../src/store/uploads.ts'
import {
  FaultyBackend,
  imageFixture,
  indexFixture,
  MemoryBackend,
  type StorageCall,
  throwAt,
} from '../../src/testing/index.ts'
import { HOUR, TimedStore } from '../gc/world.ts'

const APP = 'team/app'
const OTHER = 'team/other'
const image = imageFixture({ layers: ['a layer'] })
const newer = imageFixture({ layers: ['another layer'] })
const index = indexFixture({ 'linux/amd64': image, 'linux/arm64': newer })

function layerOf({ root }: { readonly root: ManifestDocument }): string {
  return successors(root.manifest).at(-1)?.digest ?? ''
}

const LAYER = layerOf(image)

function isPut({ method }: StorageCall): boolean {
  return method === 'put'
}

async function publish(
  backend: StorageBackend,
  { root, content }: typeof image,
  key: string,
): Promise<void> {
  for (const [digest, bytes] of content) await backend.put(blobKey(digest), bytes)
  await backend.put(key, root.content)
}

async function keysOf(backend: StorageBackend, prefix: string): Promise<readonly string[]> {
  return Array.fromAsync(backend.list(prefix), ({ key }) => key)
}

describe('a blob belongs to a repository', () => {
  it.each([
    ['a tag', manifestKey({ name: APP, tag: 'v1' }), image],
    ['a record', recordKey(APP, image.root.descriptor.digest), image],
    ['a tag of an index', manifestKey({ name: APP, tag: 'v1' }), index],
    ['a record of an index', recordKey(APP, index.root.descriptor.digest), index],
  ])('that %s of it reaches', async (_what, key, published) => {
    const backend = new MemoryBackend()
    await publish(backend, published, key)
    const membership = openMembership(backend)
    expect(await membership.find(APP, LAYER)).toMatchObject({ size: 'a layer'.length })
    expect(await membership.find(OTHER, LAYER)).toBeUndefined()
    expect(await membership.find('team', LAYER)).toBeUndefined()
    expect(await membership.find(`${APP}/nested`, LAYER)).toBeUndefined()
  })

  it('only while its bytes are there, and then for one request', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await backend.put(manifestKey({ name: APP, tag: 'v1' }), image.root.content)
    const before = backend.calls.length
    expect(await openMembership(backend).find(APP, LAYER)).toBeUndefined()
    expect(backend.calls.slice(before).every(({ key }) => key.endsWith(LAYER.slice(7)))).toBe(true)
  })

  it('no longer when the tag has moved, unless another root reaches it', async () => {
    const backend = new MemoryBackend()
    const tag = manifestKey({ name: APP, tag: 'v1' })
    await publish(backend, image, tag)
    const membership = openMembership(backend)
    expect(await membership.find(APP, LAYER)).toBeDefined()
    await backend.delete([memberKey(APP, LAYER)])
    await publish(backend, newer, tag)
    expect(await membership.find(APP, LAYER)).toBeUndefined()
    await publish(backend, image, recordKey(APP, image.root.descriptor.digest))
    expect(await membership.find(APP, LAYER)).toBeDefined()
  })

  it('by what was proven, for two requests here, and by a member object elsewhere', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await publish(backend, index, manifestKey({ name: APP, tag: 'v1' }))
    const membership = openMembership(backend)
    await membership.find(APP, LAYER)
    const counted = async (find: () => Promise<unknown>): Promise<readonly string[]> => {
      const before = backend.calls.length
      expect(await find()).toBeDefined()
      return backend.calls.slice(before).map(({ method }) => method)
    }
    expect(await counted(() => membership.find(APP, LAYER))).toEqual(['head', 'head'])
    const elsewhere = await counted(() => openMembership(backend).find(APP, LAYER))
    expect(elsewhere).toEqual(['head', 'list', 'head'])
  })

  it('or not, for a listing alone while the roots are the same', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await publish(backend, image, manifestKey({ name: APP, tag: 'v1' }))
    const foreign = Buffer.from('a blob of another repository')
    const digest = digestOf(foreign)
    await backend.put(blobKey(digest), foreign)
    const membership = openMembership(backend)
    const reads = async (count: number): Promise<readonly string[]> => {
      const before = backend.calls.length
      const all = Array.from({ length: count }, () => membership.find(APP, digest))
      expect(new Set(await Promise.all(all))).toEqual(new Set([undefined]))
      return backend.calls.slice(before).map(({ method }) => method)
    }
    expect(await reads(1)).toContain('get')
    // The blob, its links, its member; then the tags of either layout and the records.
    expect(await reads(16)).toEqual(['head', 'list', 'head', 'list', 'list', 'list'])
    const named = imageFixture({ layers: [foreign.toString()] })
    await publish(backend, named, manifestKey({ name: APP, tag: 'v2' }))
    expect(await membership.find(APP, digest)).toMatchObject({ size: foreign.length })
  })

  it('once a manifest is there that was missing when it was asked for', async () => {
    const backend = new MemoryBackend()
    await backend.put(manifestKey({ name: APP, tag: 'v1' }), index.root.content)
    await backend.put(blobKey(LAYER), Buffer.from('a layer'))
    const membership = openMembership(backend)
    expect(await membership.find(APP, LAYER)).toBeUndefined()
    for (const [digest, bytes] of index.content) await backend.put(blobKey(digest), bytes)
    expect(await membership.find(APP, LAYER)).toBeDefined()
  })

  it('for one that may only read the store', async () => {
    const inner = new MemoryBackend()
    await publish(inner, image, manifestKey({ name: APP, tag: 'v1' }))
    const refused = new S3loError('FORBIDDEN', 'read-only')
    const backend = new FaultyBackend(inner, { before: throwAt(1, refused, isPut) })
    expect(await openMembership(backend).find(APP, LAYER)).toBeDefined()
    expect(await keysOf(inner, memberKey(APP, LAYER))).toEqual([])
  })

  it('beside roots that are damaged or missing', async () => {
    const backend = new MemoryBackend()
    await publish(backend, image, manifestKey({ name: APP, tag: 'v1' }))
    await backend.put(manifestKey({ name: APP, tag: 'v2' }), Buffer.from('no manifest'))
    await backend.put(recordKey(APP, digestOf(Buffer.from('x'))), image.root.content)
    await backend.put(manifestKey({ name: APP, tag: 'v3' }), index.root.content)
    expect(await openMembership(backend).find(APP, LAYER)).toBeDefined()
  })

  it('is not known where a root cannot be read', async () => {
    const inner = new MemoryBackend()
    const key = manifestKey({ name: APP, tag: 'v1' })
    await publish(inner, image, key)
    const cut = new Error('cut')
    const backend = new FaultyBackend(inner, {
      before: (call) => {
        if (call.method === 'get' && call.key === key) throw cut
      },
    })
    await expect(openMembership(backend).find(APP, LAYER)).rejects.toBe(cut)
  })
})

describe('a client that looks for a blob and may push', () => {
  it('leaves a link, and none where one lives for over 12 hours', async () => {
    const store = new TimedStore()
    await publish(store.backend, image, manifestKey({ name: APP, tag: 'v1' }))
    const membership = openMembership(store.backend, { now: () => store.time })
    const prefix = linksPrefix(APP, LAYER)
    for (const [hours, links] of [
      [0, 1],
      [11, 1],
      [2, 2],
      [0, 2],
    ] as const) {
      store.pause(hours * HOUR)
      expect(await membership.claim(APP, LAYER)).toBeDefined()
      expect(await store.keys(prefix)).toHaveLength(links)
    }
  })

  it('gets none for a blob of another repository', async () => {
    const backend = new MemoryBackend()
    await publish(backend, image, manifestKey({ name: OTHER, tag: 'v1' }))
    expect(await openMembership(backend).claim(APP, LAYER)).toBeUndefined()
    expect(await keysOf(backend, linksPrefix(APP, LAYER))).toEqual([])
  })

  it('has a link of the day by the clock of the store, though that of the machine is off', async () => {
    const store = new TimedStore()
    await publish(store.backend, image, manifestKey({ name: APP, tag: 'v1' }))
    const membership = openMembership(store.backend, { now: () => store.time - 100 * HOUR })
    await membership.claim(APP, LAYER)
    const keys = await store.keys(linksPrefix(APP, LAYER))
    const right = `/${String(store.time + 24 * HOUR).padStart(15, '0')}-`
    expect(keys.filter((key) => key.includes(right))).toHaveLength(1)
    store.pause(23 * HOUR)
    await store.backend.delete([manifestKey({ name: APP, tag: 'v1' }), memberKey(APP, LAYER)])
    expect(await membership.find(APP, LAYER)).toBeDefined()
    store.pause(2 * HOUR)
    expect(await membership.find(APP, LAYER)).toBeUndefined()
  })
})

it('a blob that was just uploaded is found, though the clock of the machine is off', async () => {
  const store = new TimedStore()
  const options = { now: () => store.time + 100 * HOUR }
  const bytes = Buffer.from('uploaded')
  const digest = digestOf(bytes)
  await openUploads(store.backend, options).putBlob(APP, digest, Readable.from([bytes]))
  expect(await openMembership(store.backend, options).find(APP, digest)).toBeDefined()
})

describe('a mount', () => {
  it('makes a blob of one repository another one’s, and only of one that has it', async () => {
    const backend = new MemoryBackend()
    await publish(backend, image, manifestKey({ name: OTHER, tag: 'v1' }))
    const membership = openMembership(backend)
    const blob = { to: APP, digest: LAYER }
    expect(await membership.mount({ ...blob, from: 'team/third' })).toBeUndefined()
    expect(await membership.find(APP, LAYER)).toBeUndefined()
    expect(await membership.mount({ ...blob, from: OTHER })).toBeDefined()
    expect(await membership.find(APP, LAYER)).toBeDefined()
    expect(await membership.mount({ ...blob, to: 'team/fourth', from: undefined })).toBeDefined()
    expect(await membership.find('team/fourth', LAYER)).toBeDefined()
  })

  it('of a blob that is nowhere is none', async () => {
    const backend = new MemoryBackend()
    const digest = digestOf(Buffer.from('nowhere'))
    expect(
      await openMembership(backend).mount({ from: undefined, to: APP, digest }),
    ).toBeUndefined()
    expect(await keysOf(backend, '')).toEqual([])
  })
})

describe('taking a blob from a repository', () => {
  it('is refused with the manifest that needs it', async () => {
    const backend = new MemoryBackend()
    await publish(backend, index, manifestKey({ name: APP, tag: 'v1' }))
    await expect(openMembership(backend).unlink(APP, LAYER)).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { digest: index.root.descriptor.digest },
    })
  })

  it('is not undone by a look that was under way', async () => {
    const inner = new MemoryBackend()
    const tag = manifestKey({ name: APP, tag: 'v1' })
    await publish(inner, image, tag)
    const backend = new FaultyBackend(inner, {
      before: async ({ method, key }) => {
        if (method !== 'put' || key !== memberKey(APP, LAYER)) return
        await inner.delete([tag])
        expect(await openMembership(inner).unlink(APP, LAYER)).toBe(false)
      },
    })
    await openMembership(backend).find(APP, LAYER)
    expect(await openMembership(inner).find(APP, LAYER)).toBeUndefined()
  })

  it('leaves it to the others, and nothing of it in this one', async () => {
    const backend = new MemoryBackend()
    const tag = manifestKey({ name: APP, tag: 'v1' })
    await publish(backend, image, tag)
    await publish(backend, image, manifestKey({ name: OTHER, tag: 'v1' }))
    const membership = openMembership(backend)
    await membership.claim(APP, LAYER)
    await backend.delete([tag])
    expect(await membership.unlink(APP, LAYER)).toBe(true)
    expect(await membership.find(APP, LAYER)).toBeUndefined()
    expect(await membership.unlink(APP, LAYER)).toBe(false)
    expect(await membership.find(OTHER, LAYER)).toBeDefined()
    expect(await keysOf(backend, '.s3lo/links/')).toEqual([])
  })
})

describe('a manifest belongs to a repository', () => {
  it.each([
    ['its record', recordKey(APP, image.root.descriptor.digest), image],
    ['a tag of it', manifestKey({ name: APP, tag: 'v1' }), image],
    ['a tag of an index of it', manifestKey({ name: APP, tag: 'v1' }), index],
    ['the record of an index of it', recordKey(APP, index.root.descriptor.digest), index],
  ])('by %s', async (_what, key, published) => {
    const backend = new MemoryBackend()
    await publish(backend, published, key)
    const membership = openMembership(backend)
    const { digest } = image.root.descriptor
    const found = await membership.findManifest(APP, digest)
    expect(found?.descriptor).toMatchObject(image.root.descriptor)
    expect(await membership.findManifest(OTHER, digest)).toBeUndefined()
  })

  it('not by being a blob of the store', async () => {
    const backend = new MemoryBackend()
    const { content, descriptor } = image.root
    await backend.put(blobKey(descriptor.digest), content)
    const { digest } = descriptor
    expect(await openMembership(backend).findManifest(APP, digest)).toBeUndefined()
    const store = new ImageStore(backend)
    expect(await store.find({ name: APP, digest })).toBeUndefined()
    await publish(backend, index, manifestKey({ name: OTHER, tag: 'v1' }))
    expect(await store.find({ name: APP, digest })).toBeUndefined()
    expect(await store.find({ name: OTHER, digest })).toMatchObject({ descriptor })
  })

  it('and damage is no absence', async () => {
    const backend = new MemoryBackend()
    const { digest } = image.root.descriptor
    await backend.put(recordKey(APP, digest), newer.root.content)
    await expect(openMembership(backend).findManifest(APP, digest)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })
})
