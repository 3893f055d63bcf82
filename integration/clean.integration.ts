import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clean, copy, deleteTag, ImageStore, type StorageBackend } from '@s3lo/core'
import { FaultyBackend, FixtureSource, imageFixture } from '@s3lo/core/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'
import { readWhole } from './read-whole.ts'

const V1 = { name: 'app', tag: 'v1' }
const V2 = { name: 'app', tag: 'v2' }
const one = imageFixture({ layers: ['one', 'shared'] })
const two = imageFixture({ layers: ['two', 'shared'] })
/** Negative, because some stores date what they get to the next whole second. */
const NOW = { graceMs: -2000 } as const
const CONFIRMED = { confirm: true, ...NOW } as const

const folder = await mkdtemp(join(tmpdir(), 's3lo-clean-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(cloudStores(folder))('clean on $name', (place) => {
  let bucket: string
  let backend: StorageBackend
  let store: ImageStore

  beforeEach(async () => {
    bucket = await place.makeBucket()
    backend = await place.open(bucket)
    store = new ImageStore(backend)
    for (const [image, reference] of [
      [one, V1],
      [two, V2],
    ] as const) {
      const source = new FixtureSource({ 'app:x': image })
      const from = { source, reference: { name: 'app', tag: 'x' } }
      await copy(from, { target: store, reference })
    }
  })
  afterEach(async () => {
    await store.close()
    await removeBucket(place, bucket)
  })

  async function keys(prefix: string): Promise<readonly string[]> {
    return Array.fromAsync(backend.list(prefix), ({ key }) => key)
  }

  /** What participants leave, beside the number of tags that the last clean saw. */
  async function traces(): Promise<readonly string[]> {
    return (await keys('.s3lo/gc/')).filter((key) => !key.startsWith('.s3lo/gc/tags/'))
  }

  it('deletes what a deleted tag leaves and no more', async () => {
    const { scheme } = backend
    await deleteTag(store, { scheme, bucket, ...V1 }, { purge: true })
    const dryRun = await clean(store, '', NOW)
    expect(dryRun).toMatchObject({ dry_run: true, deleted: 2 })
    expect(await keys('blobs/')).toHaveLength(5)
    expect(await clean(store, '', CONFIRMED)).toMatchObject({
      deleted: 2,
      failed: [],
      unreadable: [],
    })
    expect(await readWhole(backend, V2, [two])).toBe(two.root.descriptor.digest)
    expect(await keys('blobs/')).toHaveLength(3)
    expect(await traces()).toEqual([])
  })

  it('keeps what a push that is about to publish has found', async () => {
    const { scheme } = backend
    await deleteTag(store, { scheme, bucket, ...V1 }, { purge: true })
    let pinned = 0
    const watched = new FaultyBackend(backend, {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.includes('/_manifests/')) return
        pinned = (await clean(store, '', CONFIRMED)).skipped_pinned
      },
    })
    const source = new FixtureSource({ 'app:x': one })
    const from = { source, reference: { name: 'app', tag: 'x' } }
    const again = { name: 'app', tag: 'again' }
    await copy(from, { target: new ImageStore(watched), reference: again })
    expect(pinned).toBe(2)
    expect(await readWhole(backend, again, [one])).toBe(one.root.descriptor.digest)
    expect(await traces()).toEqual([])
  })
})
