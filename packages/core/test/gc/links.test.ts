import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { isS3loError } from '../../src/errors.ts'
import { collectGarbage, type CollectResult } from '../../src/gc/collector.ts'
import { chunkRecipeKey } from '../../src/layout/chunk-keys.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { linkKey, linksPrefix, memberKey } from '../../src/layout/repository-keys.ts'
import { UPLOADS_PREFIX } from '../../src/layout/upload-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { Links, type RepositoryOptions } from '../../src/store/links.ts'
import { openMembership } from '../../src/store/membership.ts'
import { openUploads } from '../../src/store/uploads.ts'
import {
  FaultyBackend,
  imageFixture,
  MemoryBackend,
  type StorageCall,
} from '../../src/testing/index.ts'
import { HOUR, TimedStore } from './world.ts'

const APP = 'team/app'
const CONTENT = Buffer.from('garbage that is wanted again')
const DIGEST = digestOf(CONTENT)
const KEY = blobKey(DIGEST)
const SOON: RepositoryOptions = { delay: () => setImmediate(undefined), pollMs: 1 }

/** Deletes all garbage at once. */
function collect(backend: StorageBackend): Promise<CollectResult> {
  return collectGarbage(backend, { confirm: true, graceMs: 0 })
}

describe('a link', () => {
  it('keeps a blob from a collector for a day and a margin, by the clock of the store', async () => {
    const store = new TimedStore()
    await store.backend.put(KEY, CONTENT)
    const links = new Links(store.backend, { now: () => store.time })
    await links.hold(APP, DIGEST)
    for (const [ms, deleted] of [
      [0, 0],
      [24 * HOUR + 299_000, 0],
      [2000, 1],
    ] as const) {
      store.pause(ms)
      expect(await collect(store.backend)).toMatchObject({ deleted, pinned: 1 - deleted })
    }
    expect(await store.keys(linksPrefix(APP, DIGEST))).toEqual([])
  })

  it('protects for a day only, though a machine with a wrong clock named it for a year', async () => {
    const store = new TimedStore()
    await store.backend.put(KEY, CONTENT)
    await new Links(store.backend, { now: () => store.time + 365 * 24 * HOUR }).hold(APP, DIGEST)
    store.pause(24 * HOUR + 301_000)
    expect(await collect(store.backend)).toMatchObject({ deleted: 1, leftoversRemoved: 1 })
  })

  it('is listed after the round was opened', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await backend.put(KEY, CONTENT)
    await collect(backend)
    const at = (prefix: string): number =>
      backend.calls.findLastIndex(({ method, key }) => method === 'list' && key === prefix)
    const round = backend.calls.findIndex(
      ({ method, key }) => method === 'put' && key.startsWith('.s3lo/gc/rounds/'),
    )
    expect(round).toBeGreaterThan(0)
    expect(at('.s3lo/links/')).toBeGreaterThan(round)
    expect(at('manifests/')).toBeGreaterThan(at('.s3lo/links/'))
  })

  it('waits for an open round that names its blob, and no longer than it was told to', async () => {
    const store = new TimedStore()
    await store.backend.put(KEY, CONTENT)
    const during = new FaultyBackend(store.backend)
    let refused: Promise<unknown> | undefined
    const links = new Links(store.backend, { ...SOON, pollMs: 2000, maxWaitMs: 20_000 })
    during.faults = {
      before: async ({ method, key }) => {
        if (method !== 'delete' || key !== KEY) return
        refused = links.hold(APP, DIGEST)
        await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      },
    }
    await collect(during)
    expect(refused).toBeDefined()
    expect(await store.keys('.s3lo/gc/')).toEqual([])
  })
})

type Use = (backend: StorageBackend, options?: RepositoryOptions) => Promise<boolean>

const sends: Record<string, Use> = {
  'a direct upload': async (backend, options = SOON) => {
    await openUploads(backend, options).putBlob(APP, DIGEST, Readable.from([CONTENT]))
    return true
  },
  'an upload in one piece': async (backend, options = SOON) => {
    const uploads = openUploads(backend, options)
    const upload = await uploads.begin(APP)
    await uploads.append(upload, 0, Readable.from([CONTENT]))
    return (await uploads.finish(upload, DIGEST)).kind === 'stored'
  },
  'an upload in two pieces': async (backend, options = SOON) => {
    const uploads = openUploads(backend, options)
    const upload = await uploads.begin(APP)
    await uploads.append(upload, 0, Readable.from([CONTENT.subarray(0, 9)]))
    const body = Readable.from([CONTENT.subarray(9)])
    return (await uploads.finish(upload, DIGEST, { body })).kind === 'stored'
  },
}

const uses: Record<string, Use> = {
  ...sends,
  'a mount': async (backend) =>
    (await openMembership(backend, SOON).mount({ from: undefined, to: APP, digest: DIGEST })) !==
    undefined,
}

describe.each(Object.keys(uses))('%s beside a collector', (name) => {
  it('has its blob afterwards, whenever it begins and wherever the collector is', async () => {
    let calls = Infinity
    for (let at = 1; at <= calls; at++) {
      const inner = new MemoryBackend()
      await inner.put(KEY, CONTENT)
      let use: Promise<boolean> | undefined
      const backend = new FaultyBackend(inner, {
        before: async ({ count }) => {
          if (count !== at) return
          use = uses[name]?.(inner)
          // As far as it gets, which is its end where no round is open.
          await turns(100)
        },
      })
      await collect(backend)
      calls = backend.calls.length
      // A mount of what is gone is none.
      if (await use) expect(await inner.head(KEY)).toBeDefined()
      if (await use) expect(await openMembership(inner).find(APP, DIGEST)).toBeDefined()
      else expect(name).toBe('a mount')
    }
    expect(calls).toBeGreaterThan(10)
  })
})

/** The numbers of the first and the last call of an upload in which its blob is about to be stored. */
async function callsOfStore(use: Use): Promise<readonly [number, number]> {
  const backend = new FaultyBackend(new MemoryBackend())
  await use(backend)
  const { calls } = backend
  const isEnd = ({ method, key }: StorageCall): boolean =>
    (method === 'put' && key.startsWith('.s3lo/links/')) || method === 'move'
  return [calls.findIndex(isEnd) + 1, calls.findLastIndex(isEnd) + 1]
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate()
}

/** Stops an upload for a day before call `at`, and lets a collector begin before call `later`. */
async function stopped(
  use: Use,
  { at, later, isSlow }: { readonly at: number; readonly later: number; readonly isSlow: boolean },
): Promise<void> {
  const store = new TimedStore()
  const options = { ...SOON, now: () => store.time }
  const collector = new FaultyBackend(store.backend, {
    before: async ({ method, key }) => {
      if (isSlow && method === 'delete' && key === KEY) await turns(30)
    },
  })
  let collected: Promise<unknown> | undefined
  const backend = new FaultyBackend(store.backend, {
    before: async ({ count }) => {
      if (count === at) store.pause(25 * HOUR)
      if (count === later) collected = collect(collector)
      if (count === later) await (isSlow ? turns(20) : collected)
    },
  })
  const outcome = await use(backend, options).catch((error: unknown) =>
    isS3loError(error) ? error.code : String(error),
  )
  await collected
  expect([true, 'UNAVAILABLE', 'NOT_FOUND']).toContain(outcome)
  if (outcome !== true) await use(store.backend, options)
  await collect(store.backend)
  expect(await store.keys(KEY), `stopped before ${at}, collected before ${later}`).toEqual([KEY])
}

describe.each(Object.entries(sends))('%s that is stopped for a day', (_, use) => {
  it.each([
    ['deletes at once', false],
    ['is slow to delete', true],
  ])('has its blob or fails, where a collector %s', async (_how, isSlow) => {
    const [first, last] = await callsOfStore(use)
    for (let at = first; at <= last; at++) {
      for (let later = at; later <= last + 3; later++) await stopped(use, { at, later, isSlow })
    }
  })
})

describe('an upload that is over', () => {
  it('is finished again only with a blob that no open round can delete', async () => {
    const store = new TimedStore()
    await store.backend.put(KEY, CONTENT)
    const uploads = openUploads(store.backend, SOON)
    const over = await uploads.begin(APP)
    await uploads.cancel(over)
    let again: Promise<unknown> | undefined
    const during = new FaultyBackend(store.backend, {
      before: async ({ method, key }) => {
        if (method !== 'delete' || key !== KEY) return
        // Of another upload, whose process waits for this round and has written no blob yet.
        void new Links(store.backend, SOON).hold(APP, DIGEST, { isProven: true })
        await turns(20)
        again = uploads.finish(over, DIGEST).catch((error: unknown) => error)
        await turns(20)
      },
    })
    expect(await collect(during)).toMatchObject({ deleted: 1 })
    expect(await again).toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('housekeeping of repositories', () => {
  it('ends an upload a day after its last piece, and keeps foreign keys', async () => {
    const store = new TimedStore()
    const uploads = openUploads(store.backend, { now: () => store.time })
    const old = await uploads.begin(APP)
    await uploads.append(old, 0, Readable.from([CONTENT]))
    const young = await uploads.begin(APP)
    const foreign = `${UPLOADS_PREFIX}${old.id}/notes.txt`
    await store.backend.put(foreign, CONTENT)
    store.pause(20 * HOUR)
    await uploads.append(young, 0, Readable.from([CONTENT]))
    store.pause(5 * HOUR)
    expect(await collect(store.backend)).toMatchObject({ leftoversRemoved: 3 })
    expect(await uploads.status(old)).toBeUndefined()
    expect(await uploads.status(young)).toMatchObject({ offset: CONTENT.length })
    expect(await store.keys(UPLOADS_PREFIX)).toContain(foreign)
  })

  it('removes members whose blob is gone, and links that are dead, and no others', async () => {
    const store = new TimedStore()
    const { backend } = store
    const image = imageFixture({ layers: ['kept'] })
    for (const [digest, bytes] of image.content) await backend.put(blobKey(digest), bytes)
    await backend.put(manifestKey({ name: APP, tag: 'v1' }), image.root.content)
    const kept = digestOf(Buffer.from('kept'))
    const write = async (...keys: readonly (string | undefined)[]): Promise<void> => {
      for (const key of keys) await backend.put(key ?? '', new Uint8Array())
    }
    const name = { repository: APP, digest: kept, expires: store.time + 48 * HOUR }
    const [dead, alive] = ['a', 'b'].map((id) => linkKey({ ...name, id: id.repeat(32) }))
    const chunked = digestOf(Buffer.from('in chunks'))
    await write(memberKey(APP, kept), memberKey(APP, DIGEST), memberKey(APP, chunked), dead)
    store.pause(25 * HOUR)
    await write(memberKey('team/young', DIGEST), chunkRecipeKey(chunked), alive)
    expect(await collect(backend)).toMatchObject({ leftoversRemoved: 2 })
    const left = [
      ...(await store.keys('.s3lo/repositories/')),
      ...(await store.keys('.s3lo/links/')),
    ]
    const members = [memberKey(APP, chunked), memberKey(APP, kept), memberKey('team/young', DIGEST)]
    expect(new Set(left)).toEqual(new Set([...members, alive]))
  })
})
