import { describe, expect, it } from 'vitest'
import { FaultyBackend } from '../../src/testing/index.ts'
import { S3loError } from '../../src/errors.ts'
import { collectGarbage, type CollectOptions, type CollectResult } from '../../src/gc/collector.ts'
import { deleteInTime } from '../../src/gc/delete-in-time.ts'
import { writeControl } from '../../src/gc/control-object.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import type { CollectedObject } from '../../src/gc/sweep.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { HOUR, layered, SECOND, TimedStore } from './world.ts'

const live = layered('base', 'live')
const garbage = layered('base', 'garbage')
const shared = successors(parseManifest(live.root.content, 'live'))[1]!
const only = successors(parseManifest(garbage.root.content, 'garbage'))[2]!

function collect(store: TimedStore, options: CollectOptions = {}): Promise<CollectResult> {
  return collectGarbage(store.backend, { confirm: true, graceMs: 0, who: 'test', ...options })
}

async function withGarbage(): Promise<TimedStore> {
  const store = new TimedStore()
  await store.plant(live, 'live')
  await store.plant(garbage)
  store.advance(2 * HOUR)
  return store
}

describe('a collection', () => {
  it('deletes what no manifest needs and leaves the rest', async () => {
    const store = await withGarbage()
    const seen: CollectedObject[] = []
    const result = await collect(store, { onObject: (object) => seen.push(object) })
    expect(result).toMatchObject({ dryRun: false, scanned: 5, deleted: 2, rounds: 1, failed: 0 })
    expect(result.freedBytes).toBe(seen.reduce((bytes, { size }) => bytes + size, 0))
    expect(seen.map(({ outcome }) => outcome.kind)).toEqual(['deleted', 'deleted'])
    expect(await store.broken()).toEqual([])
    expect(await store.keys('blobs/')).toHaveLength(3)
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('writes and deletes nothing in a dry run, and says the same', async () => {
    const store = await withGarbage()
    const faulty = new FaultyBackend(store.backend)
    const now = (): number => store.time
    const result = await collectGarbage(faulty, { graceMs: 0, now })
    expect(result).toMatchObject({ dryRun: true, deleted: 2, rounds: 0 })
    const reads = new Set(['list', 'listPrefixes', 'get'])
    const writes = faulty.calls.filter(({ method }) => !reads.has(method))
    expect(writes).toEqual([])
  })

  it('keeps what a pin names, and a wildcard keeps everything', async () => {
    for (const name of [nameOf(only.digest), nameOf(only.digest).slice(0, 8), '']) {
      const store = await withGarbage()
      await writeControl(store.backend, 'pin', { names: [name], who: '' }, { ttlSeconds: 600 })
      const result = await collect(store)
      expect(result.pinned).toBe(name === '' ? 2 : 1)
      expect(await store.backend.head(blobKey(only.digest))).toBeDefined()
    }
  })

  it.each(['not json', '{"v":2,"kind":"pin","names":[]}', '{"v":1,"kind":"pin","names":["XYZ"]}'])(
    'keeps everything while a pin says %s, until it is dead',
    async (text) => {
      const store = await withGarbage()
      const key = '.s3lo/gc/pins/000600-00112233445566778899aabbccddeeff.json'
      await store.backend.put(key, Buffer.from(text))
      expect(await collect(store)).toMatchObject({ deleted: 0, pinned: 2 })
      store.advance(901 * SECOND)
      expect(await collect(store)).toMatchObject({ deleted: 2, pinned: 0, pinsRemoved: 1 })
    },
  )

  it('honours a pin that expired until the margin has passed as well', async () => {
    const store = await withGarbage()
    await writeControl(store.backend, 'pin', { names: [''], who: '' }, { ttlSeconds: 600 })
    store.advance(899 * SECOND)
    expect((await collect(store)).deleted).toBe(0)
  })

  it('never takes a pin for dead that has no lifetime, but on the word of an operator', async () => {
    const store = await withGarbage()
    const content = { names: [''], who: '' }
    const pin = await writeControl(store.backend, 'pin', content, { ttlSeconds: undefined })
    store.advance(9000 * HOUR)
    expect((await collect(store)).deleted).toBe(0)
    const ended = new Set([pin.id])
    expect(await collect(store, { ended })).toMatchObject({ deleted: 2, pinsRemoved: 1 })
  })

  it('removes dead rounds and leaves those of others that live', async () => {
    const store = await withGarbage()
    const content = { names: [''], who: '' }
    await writeControl(store.backend, 'round', content, { ttlSeconds: 1 })
    store.advance(302 * SECOND)
    await writeControl(store.backend, 'round', content, { ttlSeconds: 600 })
    expect(await collect(store)).toMatchObject({ deleted: 2, roundsRemoved: 1 })
    expect(await store.keys('.s3lo/gc/rounds/')).toHaveLength(1)
  })

  it('deletes nothing while a manifest cannot be read, and names it', async () => {
    const store = await withGarbage()
    await store.backend.put(manifestKey({ name: 'bad', tag: 'v1' }), Buffer.from('{'))
    const result = await collect(store)
    expect(result).toMatchObject({ deleted: 0, unreadable: [{ name: 'bad:v1' }] })
    expect(await collect(store, { ignore: ['bad:v1'] })).toMatchObject({
      deleted: 2,
      unreadable: [],
    })
  })

  it('deletes nothing when a manifest becomes unreadable after the mark', async () => {
    const store = await withGarbage()
    const faulty = new FaultyBackend(store.backend, {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.startsWith('.s3lo/gc/rounds/')) return
        await store.backend.put(manifestKey({ name: 'bad', tag: 'v1' }), Buffer.from('{'))
      },
    })
    const result = await collectGarbage(faulty, { confirm: true, graceMs: 0 })
    expect(result).toMatchObject({ deleted: 0, unreadable: [{ name: 'bad:v1' }] })
    expect(await store.keys('.s3lo/gc/rounds/')).toEqual([])
  })

  it('keeps what a tag needs that was published after the mark', async () => {
    const store = await withGarbage()
    const faulty = new FaultyBackend(store.backend, {
      before: async ({ method, key }) => {
        if (method === 'list' && key === '.s3lo/gc/pins/') await store.plant(garbage, 'again')
      },
    })
    await collectGarbage(faulty, { confirm: true, graceMs: 0 })
    expect(await store.broken()).toEqual([])
  })

  it('stops at a missing child manifest, and not at a missing leaf', async () => {
    const store = await withGarbage()
    await store.backend.delete([blobKey(shared.digest)])
    expect((await collect(store)).deleted).toBe(2)
    const missing = {
      mediaType: MEDIA_TYPE.ociManifest,
      digest: digestOf(Buffer.from('x')),
      size: 1,
    }
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [missing] }
    const key = manifestKey({ name: 'multi', tag: 'v1' })
    await store.backend.put(key, Buffer.from(JSON.stringify(index)))
    expect(await collect(store)).toMatchObject({ unreadable: [{ name: 'multi:v1' }] })
  })

  it('never touches what lies elsewhere', async () => {
    const store = await withGarbage()
    const foreign = [
      'chunks/sha256/' + 'a'.repeat(64),
      'recipes/sha256/' + 'a'.repeat(64),
      'indexes/sha256/' + 'a'.repeat(64),
      'blobs/sha256/not-a-digest',
      'blobs/md5/' + 'a'.repeat(32),
      'app/v1/blobs/sha256/' + 'a'.repeat(64),
      '.s3lo/unknown/x',
      'holiday.jpg',
    ]
    for (const key of foreign) await store.backend.put(key, Buffer.from('x'))
    store.advance(9000 * HOUR)
    await collect(store)
    for (const key of foreign) expect(await store.backend.head(key), key).toBeDefined()
  })

  it('reports each key that could not be deleted, and ends its round when all were refused', async () => {
    const store = await withGarbage()
    const error = new S3loError('FORBIDDEN', 'no')
    const faulty = new Proxy(store.backend, {
      get: (target, method) =>
        method === 'delete'
          ? async (keys: readonly string[], options?: { readonly notAfter?: Date }) =>
              options?.notAfter ? keys.map((key) => ({ key, error })) : target.delete(keys)
          : bound(target, method),
    })
    const failed: string[] = []
    const onObject = ({ key, outcome }: CollectedObject): void => {
      if (outcome.kind === 'failed') failed.push(key)
    }
    expect(await collectGarbage(faulty, { confirm: true, graceMs: 0, onObject })).toMatchObject({
      deleted: 0,
      failed: 2,
    })
    expect(failed).toContain(blobKey(only.digest))
    expect(await store.keys('.s3lo/gc/')).toEqual([])
  })

  it('leaves its round when a delete was not answered', async () => {
    const store = await withGarbage()
    const faulty = new FaultyBackend(store.backend, {
      after: ({ method, key }) => {
        if (method === 'delete' && key.startsWith('blobs/')) throw new S3loError('UNAVAILABLE', 'x')
      },
    })
    const run = collectGarbage(faulty, { confirm: true, graceMs: 0 })
    await expect(run).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.keys('.s3lo/gc/rounds/')).toHaveLength(1)
  })

  it('is refused by the store once its round has expired', async () => {
    const store = await withGarbage()
    const faulty = new FaultyBackend(store.backend, {
      before: ({ method, key }) => {
        if (method === 'delete' && key.startsWith('blobs/')) store.pause(601 * SECOND)
      },
    })
    const result = await collectGarbage(faulty, { confirm: true, graceMs: 0 })
    expect(result).toMatchObject({ deleted: 0, failed: 2 })
    expect(await store.keys('blobs/')).toHaveLength(5)
  })

  it('tells of a program that writes no pins', async () => {
    const store = await withGarbage()
    expect((await collect(store)).legacyTrace).toBeUndefined()
    const sidecar = 'manifests/live/latest/oci-layout'
    await store.backend.put(sidecar, Buffer.from('{}'))
    expect((await collect(store)).legacyTrace?.key).toBe(sidecar)
    const recipe = `recipes/sha256/${'a'.repeat(64)}`
    await store.backend.put(recipe, Buffer.from('{}'))
    expect((await collect(store)).legacyTrace?.key).toBe(recipe)
  })

  it('aborts uploads of ours that are a day old, and no others', async () => {
    const store = await withGarbage()
    const aborted: string[] = []
    const uploads = [
      { key: 'blobs/sha256/x', id: '1', startedAt: new Date(store.time - 25 * HOUR) },
      { key: 'blobs/sha256/y', id: '2', startedAt: new Date(store.time - HOUR) },
      { key: 'other/x', id: '3', startedAt: new Date(store.time - 25 * HOUR) },
    ]
    const backend = new Proxy(store.backend, {
      get: (target, method) => {
        if (method === 'abandonedUploads') return () => uploads.values()
        if (method === 'abortUpload') return async ({ id }: { id: string }) => void aborted.push(id)
        return bound(target, method)
      },
    })
    expect((await collectGarbage(backend, { confirm: true })).uploadsAborted).toBe(1)
    expect(aborted).toEqual(['1'])
  })

  it('removes content that was staged a day ago, and what probes have left', async () => {
    const store = await withGarbage()
    await store.backend.put('.s3lo/staging/old', Buffer.from('x'))
    await store.backend.put('.s3lo/probe/old/create-0', Buffer.from('x'))
    store.advance(25 * HOUR)
    await store.backend.put('.s3lo/staging/new', Buffer.from('x'))
    await store.backend.put('.s3lo/probe/new/create-0', Buffer.from('x'))
    expect((await collect(store)).leftoversRemoved).toBe(2)
    expect(await store.keys('.s3lo/')).toEqual(['.s3lo/probe/new/create-0', '.s3lo/staging/new'])
  })
})

describe('the grace period', () => {
  it('counts from the age of the object', async () => {
    const store = await withGarbage()
    await store.backend.touch(blobKey(only.digest))
    expect(await collect(store, { graceMs: HOUR })).toMatchObject({
      deleted: 0,
      recent: 1,
      condemned: 1,
    })
  })

  it('counts from the collection that first found it to be garbage', async () => {
    const store = await withGarbage()
    const graceMs = HOUR
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 0, condemned: 2 })
    store.advance(HOUR - SECOND)
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 0, condemned: 2 })
    store.advance(SECOND)
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 2, condemned: 0 })
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('is remembered by a collection that a manifest stopped in its last round', async () => {
    const store = await withGarbage()
    const graceMs = HOUR
    await collect(store, { graceMs })
    const lists = await store.keys('.s3lo/gc/condemned/')
    expect(lists).toHaveLength(1)
    store.advance(HOUR)
    const faulty = new FaultyBackend(store.backend, {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.startsWith('.s3lo/gc/rounds/')) return
        await store.backend.put(manifestKey({ name: 'bad', tag: 'v1' }), Buffer.from('{'))
      },
    })
    const stopped = await collectGarbage(faulty, { confirm: true, graceMs })
    expect(stopped).toMatchObject({ deleted: 0, unreadable: [{ name: 'bad:v1' }] })
    expect(await store.keys('.s3lo/gc/condemned/')).toEqual(lists)
  })

  it('starts again for what was in use meanwhile', async () => {
    const store = await withGarbage()
    const graceMs = HOUR
    await collect(store, { graceMs })
    await store.backend.put(manifestKey({ name: 'again', tag: 'latest' }), garbage.root.content)
    await collect(store, { graceMs })
    await store.backend.delete([manifestKey({ name: 'again', tag: 'latest' })])
    store.advance(HOUR)
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 0, condemned: 2 })
    store.advance(HOUR)
    expect((await collect(store, { graceMs })).deleted).toBe(2)
  })

  it('starts again for what was in use when a collection failed, and continues for the rest', async () => {
    const store = await withGarbage()
    await store.plant(layered('base', 'more'))
    store.advance(2 * HOUR)
    const graceMs = HOUR
    expect(await collect(store, { graceMs })).toMatchObject({ condemned: 4 })
    store.advance(HOUR)
    await store.backend.put(manifestKey({ name: 'again', tag: 'latest' }), garbage.root.content)
    const failing = new FaultyBackend(store.backend, {
      before: ({ method, key }) => {
        if (method === 'list' && key.startsWith('blobs/')) throw new S3loError('UNAVAILABLE', 'no')
      },
    })
    const failed = collectGarbage(failing, { confirm: true, graceMs })
    await expect(failed).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await store.backend.delete([manifestKey({ name: 'again', tag: 'latest' })])
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 2, condemned: 2 })
    store.advance(HOUR)
    expect(await collect(store, { graceMs })).toMatchObject({ deleted: 2, condemned: 0 })
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('takes a list that cannot be read for none', async () => {
    const store = await withGarbage()
    const key = '.s3lo/gc/condemned/000000000001-00112233445566778899aabbccddeeff.txt'
    await store.backend.put(key, Buffer.from(`${nameOf(only.digest)}\n../x`))
    expect((await collect(store, { graceMs: HOUR })).deleted).toBe(0)
  })
})

describe('deleting a tag', () => {
  it('is bound to a deadline by the clock of the store', async () => {
    const store = await withGarbage()
    const key = manifestKey({ name: 'live', tag: 'latest' })
    const faulty = new FaultyBackend(store.backend, {
      before: (call) => {
        if (call.method === 'delete' && call.key === key) store.pause(601 * SECOND)
      },
    })
    const [failure] = await deleteInTime(faulty, [key])
    expect(failure?.error.code).toBe('FORBIDDEN')
    expect(await deleteInTime(store.backend, [key])).toEqual([])
    expect(await store.keys('manifests/')).toEqual([])
    expect(await store.keys('.s3lo/')).toEqual([])
  })
})

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target)
  return typeof value === 'function' ? value.bind(target) : value
}
