import { describe, expect, it } from 'vitest'
import { collectGarbage, type CollectOptions, type CollectResult } from '../../src/gc/collector.ts'
import { writeControl } from '../../src/gc/control-object.ts'
import { LiveContent } from '../../src/gc/live-content.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import type { UntaggedImage } from '../../src/gc/record-collector.ts'
import { RecordExpiry } from '../../src/gc/record-expiry.ts'
import { blobKey, manifestKey, referrerBlobKey } from '../../src/layout/keys.ts'
import { recordKey, referrerEntryKey, tagEventKey } from '../../src/layout/repository-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { FaultyBackend } from '../../src/testing/index.ts'
import {
  FixtureSource,
  type ImageFixture,
  indexFixture,
  referrerFixture,
} from '../../src/testing/fixtures.ts'
import { HOUR, layered, TimedStore } from './world.ts'

const DAY = 24 * HOUR
const image = layered('base', 'one')
const other = layered('base', 'two')
const { digest } = image.root.descriptor

function collect(store: TimedStore, options: CollectOptions = {}): Promise<CollectResult> {
  const keepUntagged = (): number => 14 * DAY
  return collectGarbage(store.backend, { confirm: true, graceMs: 0, keepUntagged, ...options })
}

/** An image whose tag has moved: its content, and its record in `app`. */
async function untagged(fixture: ImageFixture = image): Promise<TimedStore> {
  const store = new TimedStore()
  await store.plant(fixture)
  await store.plant(other, 'app')
  await record(store, fixture)
  return store
}

async function record(
  store: TimedStore,
  { root: { content, descriptor } }: Pick<ImageFixture, 'root'>,
  repository = 'app',
): Promise<void> {
  await store.backend.put(recordKey(repository, descriptor.digest), content)
}

function blobsOf(store: TimedStore, { content }: ImageFixture): Promise<number> {
  const heads = [...content.keys()].map((key) => store.backend.head(blobKey(key)))
  return Promise.all(heads).then((infos) => infos.filter((info) => info !== undefined).length)
}

describe('a digest record', () => {
  it('keeps all that its manifest needs, at any age, as long as it is there', async () => {
    const store = await untagged()
    store.advance(9000 * DAY)
    const result = await collect(store, { keepUntagged: () => Infinity })
    expect(result).toMatchObject({ deleted: 0, recordsDeleted: 0, untagged: 1 })
    expect(await blobsOf(store, image)).toBe(image.content.size)
  })

  it('goes when it has expired, and its content in the same clean', async () => {
    const store = await untagged()
    store.advance(14 * DAY)
    expect(await collect(store)).toMatchObject({ deleted: 0, recordsDeleted: 0, untagged: 1 })
    store.advance(1)
    expect(await collect(store)).toMatchObject({ deleted: 2, recordsDeleted: 1, untagged: 0 })
    expect(await store.keys('.s3lo/')).toEqual([])
    expect(await store.broken()).toEqual([])
  })

  it('stays for a day and the margin, however soon it may expire', async () => {
    const store = await untagged()
    const options = { keepUntagged: () => 0 }
    store.advance(DAY + 300_000)
    expect(await collect(store, options)).toMatchObject({ deleted: 0, recordsDeleted: 0 })
    store.advance(1)
    expect(await collect(store, options)).toMatchObject({ deleted: 2, recordsDeleted: 1 })
  })

  it('counts from its last write, and by the time of its own repository', async () => {
    const store = await untagged()
    await record(store, image, 'app/nested')
    store.advance(10 * DAY)
    await record(store, image)
    store.advance(5 * DAY)
    const seen: UntaggedImage[] = []
    const keepUntagged = (name: string): number => (name === 'app' ? 14 : 2) * DAY
    await collect(store, { keepUntagged, onUntagged: (entry) => seen.push(entry) })
    expect(seen).toMatchObject([
      { repository: 'app/nested', digest, outcome: 'deleted' },
      { repository: 'app', digest, outcome: 'kept', expiresAt: store.time + 9 * DAY },
    ])
  })

  it.each(['sha256', 'sha512'] as const)(
    'stays while a tag of its repository has the manifest, under %s too',
    async (algorithm) => {
      const store = await untagged()
      await store.backend.delete([recordKey('app', digest)])
      const { content } = image.root
      await store.backend.put(recordKey('app', digestOf(content, algorithm)), content)
      await store.backend.put(manifestKey({ name: 'app', tag: 'v1' }), content)
      store.advance(15 * DAY)
      expect(await collect(store)).toMatchObject({ recordsDeleted: 0, untagged: 0 })
      await store.backend.delete([manifestKey({ name: 'app', tag: 'v1' })])
      await store.backend.put(manifestKey({ name: 'elsewhere', tag: 'v1' }), content)
      expect(await collect(store)).toMatchObject({ recordsDeleted: 1, deleted: 0 })
    },
  )

  it('stays while an index reaches it that is a tag or a record, and goes with it', async () => {
    const index = indexFixture({ 'linux/amd64': image, 'linux/arm64': other })
    const store = new TimedStore()
    await store.plant(index)
    await record(store, image)
    await record(store, other)
    store.advance(15 * DAY)
    await record(store, index)
    expect(await collect(store)).toMatchObject({ recordsDeleted: 0, deleted: 0, untagged: 1 })
    store.advance(15 * DAY)
    expect(await collect(store)).toMatchObject({ recordsDeleted: 3, untagged: 0 })
    expect(await store.keys('')).toEqual([])
  })

  it('stays while a writer has pinned the manifest', async () => {
    const store = await untagged()
    store.advance(15 * DAY)
    const content = { names: [nameOf(digest)], who: '' }
    await writeControl(store.backend, 'pin', content, { ttlSeconds: 600 })
    expect(await collect(store)).toMatchObject({ recordsDeleted: 0, deleted: 0, untagged: 1 })
    expect(await blobsOf(store, image)).toBe(image.content.size)
  })

  it('stays when it was written anew, or a tag came, since the mark', async () => {
    const changes: ((store: TimedStore) => Promise<unknown>)[] = [
      (store) => record(store, image),
      (store) => store.plant(image, 'app'),
    ]
    for (const change of changes) {
      const store = await untagged()
      store.advance(15 * DAY)
      const backend = new FaultyBackend(store.backend)
      const put = backend.put.bind(backend)
      backend.put = async (key, ...rest) => {
        if (key.startsWith('.s3lo/gc/rounds/')) await change(store)
        return put(key, ...rest)
      }
      const keepUntagged = (): number => 14 * DAY
      const result = await collectGarbage(backend, { confirm: true, graceMs: 0, keepUntagged })
      expect(result).toMatchObject({ recordsDeleted: 0, rounds: 1 })
      expect(await blobsOf(store, image)).toBe(image.content.size)
    }
  })

  it('is read once, and not at all where a tag has the manifest', async () => {
    const store = await untagged()
    await record(store, other)
    const about = referrerFixture(other.root.descriptor, 'application/test', 'about')
    await record(store, about)
    store.advance(15 * DAY)
    const backend = new FaultyBackend(store.backend)
    const keepUntagged = (): number => 14 * DAY
    await collectGarbage(backend, { confirm: true, graceMs: 0, keepUntagged })
    const reads = backend.calls.filter(({ method }) => method === 'get').map(({ key }) => key)
    const once = [digest, about.root.descriptor.digest].map((each) => recordKey('app', each))
    expect(reads.filter((key) => key.includes('_manifests')).toSorted()).toEqual(once.toSorted())
  })

  it('that is damaged keeps everything, unless it is to be ignored', async () => {
    const store = await untagged()
    await store.backend.put(recordKey('app', digest), Buffer.from('{}'))
    for (const days of [0, 15]) {
      store.advance(days * DAY)
      const result = await collect(store)
      expect(result).toMatchObject({ deleted: 0, unreadable: [{ name: `app@${digest}` }] })
      expect(result.unreadable[0]?.error.code).toBe('INTEGRITY')
    }
    expect(await collect(store, { ignore: [`app@${digest}`] })).toMatchObject({ deleted: 2 })
  })

  it('of an index whose child is gone holds up no collection', async () => {
    const index = indexFixture({ 'linux/amd64': image, 'linux/arm64': other })
    const store = new TimedStore()
    await store.plant(index)
    await record(store, index)
    await store.backend.delete([blobKey(digest)])
    await store.plant(layered('garbage'))
    store.advance(DAY)
    const result = await collect(store)
    expect(result).toMatchObject({ recordsDeleted: 0, unreadable: [] })
    // What only the lost child needs cannot be known.
    expect(result.deleted).toBe(4)
  })

  it('stays as a referrer while its subject is there, and goes after its entry', async () => {
    const store = await untagged()
    const about = referrerFixture(image.root.descriptor, 'application/test', 'about')
    await record(store, about)
    const entry = referrerEntryKey('app', digest, about.root.descriptor.digest)
    await store.backend.put(entry, Buffer.from('{}'))
    for (const [name, content] of about.content) {
      await store.backend.put(referrerBlobKey(name), content)
    }
    store.advance(10 * DAY)
    await record(store, image)
    store.advance(5 * DAY)
    expect(await collect(store)).toMatchObject({ recordsDeleted: 0, untagged: 1, deleted: 0 })
    store.advance(10 * DAY)
    const backend = new FaultyBackend(store.backend)
    const keepUntagged = (): number => 14 * DAY
    const result = await collectGarbage(backend, { confirm: true, graceMs: 0, keepUntagged })
    expect(result).toMatchObject({ recordsDeleted: 2, untagged: 0 })
    const deleted = backend.calls.filter(({ method }) => method === 'delete').map(({ key }) => key)
    expect(deleted).toContain(entry)
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('goes as a referrer of what another repository has, and of a referrer that goes', async () => {
    const store = await untagged()
    const about = referrerFixture(other.root.descriptor, 'application/test', 'about')
    const again = referrerFixture(about.root.descriptor, 'application/test', 'about that')
    for (const repository of ['app', 'copied']) {
      for (const each of [about, again]) await record(store, each, repository)
    }
    store.advance(15 * DAY)
    await record(store, image)
    expect(await collect(store)).toMatchObject({ recordsDeleted: 2 })
    const kept = [about, again].map(({ root }) => recordKey('app', root.descriptor.digest))
    const left = await store.keys('.s3lo/repositories/')
    expect(left.toSorted()).toEqual([...kept, recordKey('app', digest)].toSorted())
  })

  it('stays as a referrer of what a writer is about to publish', async () => {
    const store = await untagged()
    const subject = layered('to come').root.descriptor
    await record(store, referrerFixture(subject, 'application/test', 'about'))
    store.advance(15 * DAY)
    const content = { names: [nameOf(subject.digest)], who: '' }
    await writeControl(store.backend, 'pin', content, { ttlSeconds: 600 })
    expect(await collect(store)).toMatchObject({ recordsDeleted: 1 })
    expect(await store.keys('.s3lo/repositories/')).toHaveLength(1)
  })

  it('stays for the rest of a clean that has taken it for a root once', async () => {
    const store = await untagged()
    store.advance(15 * DAY)
    const live = new LiveContent(store.backend)
    const expiry = { now: store.time, expiry: new RecordExpiry({ keepUntagged: () => 14 * DAY }) }
    await live.scan({ expiry })
    expect([...live.expired.keys()]).toEqual([recordKey('app', digest)])
    await live.scan({ expiry, isPinned: (name) => name === nameOf(digest) })
    await live.scan({ expiry })
    expect(live.expired.size).toBe(0)
  })

  it('would go in a dry run, which writes nothing and counts what is held', async () => {
    const store = await untagged()
    const backend = new FaultyBackend(store.backend)
    const options = { graceMs: 0, keepUntagged: () => 14 * DAY, now: () => store.time }
    const young = await collectGarbage(backend, options)
    expect(young).toMatchObject({ deleted: 0, untagged: 1 })
    expect(young.heldBytes).toBeGreaterThan(0)
    store.advance(15 * DAY)
    const old = await collectGarbage(backend, options)
    expect(old).toMatchObject({ deleted: 2, recordsDeleted: 1, untagged: 0, heldBytes: 0 })
    const writes = backend.calls.filter(({ method }) => method === 'put' || method === 'delete')
    expect(writes).toEqual([])
  })
})

describe('a publication that is stopped for days before its tag', () => {
  it('publishes no tag without a record', async () => {
    const store = new TimedStore()
    const backend = new FaultyBackend(store.backend)
    const put = backend.put.bind(backend)
    let isStopped = false
    backend.put = async (key, ...rest) => {
      if (key === manifestKey({ name: 'app', tag: 'v1' }) && !isStopped) {
        isStopped = true
        store.pause(2 * DAY)
        expect(await collect(store, { keepUntagged: () => 0 })).toMatchObject({ recordsDeleted: 1 })
        await store.plant(image)
      }
      return put(key, ...rest)
    }
    const target = new ImageStore(backend, { protection: { delay: store.delay } })
    const source = new FixtureSource({ 'app:v1': image })
    const reference = { name: 'app', tag: 'v1' }
    const copying = copy({ source, reference }, { target, reference })
    await expect(copying).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.keys('manifests/')).toEqual([])
  })
})

describe('an event of a tag', () => {
  const event = (tag: string, of: string, at = 1): string =>
    tagEventKey('app', tag, at, `${'0'.repeat(13)}${nameOf(of).slice(0, 16)}abc`)

  it('goes a day after the record that it needs, whose repository alone counts', async () => {
    const store = await untagged()
    await record(store, other, 'app/other')
    const kept = event('v1', digest)
    const lost = event('v2', other.root.descriptor.digest)
    for (const key of [kept, lost]) await store.backend.put(key, Buffer.from('{}'))
    store.advance(DAY)
    expect(await collect(store)).toMatchObject({ leftoversRemoved: 0 })
    store.advance(1)
    expect(await collect(store)).toMatchObject({ leftoversRemoved: 1 })
    expect(await store.keys('.s3lo/repositories/app/_history/')).toEqual([kept])
  })

  it('goes as an entry of a referrer does that has no record', async () => {
    const store = await untagged()
    const kept = referrerEntryKey('app', other.root.descriptor.digest, digest)
    const lost = referrerEntryKey('app', digest, other.root.descriptor.digest)
    for (const key of [kept, lost]) await store.backend.put(key, Buffer.from('{}'))
    store.advance(DAY + 1)
    expect(await collect(store)).toMatchObject({ leftoversRemoved: 1 })
    expect(await store.keys('.s3lo/repositories/app/_referrers/')).toEqual([kept])
  })

  it('goes in the clean after the one that deleted its record', async () => {
    const store = await untagged()
    for (const at of [1, 2, 3]) await store.backend.put(event('v1', digest, at), Buffer.from('{}'))
    store.advance(15 * DAY)
    expect(await collect(store)).toMatchObject({ recordsDeleted: 1, leftoversRemoved: 0 })
    expect(await collect(store)).toMatchObject({ leftoversRemoved: 3 })
  })
})
