import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { clean, type CleanOptions } from '../../src/operations/clean.ts'
import { cleanFailure, type CleanResult } from '../../src/operations/clean-result.ts'
import { copy } from '../../src/operations/copy.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { cosignTagsOf } from '../../src/oci/referrer-tag.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  attachReferrer,
  FaultyBackend,
  FixtureSource,
  imageFixture,
  type ImageFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
} from '../../src/testing/index.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

let time: number
let backend: MemoryBackend
let store: ImageStore

beforeEach(() => {
  time = Date.UTC(2026, 5, 1)
  backend = new MemoryBackend({ now: () => new Date(time) })
  store = new ImageStore(backend)
})

function image(layer: string): ImageFixture {
  return imageFixture({ layers: [layer, 'shared'] })
}

async function plant(name: string, tag: string, fixture = image(`${name}:${tag}`)): Promise<void> {
  await putImage(backend, { name, tag }, fixture)
}

async function configure(text: string): Promise<void> {
  await backend.put('s3lo.yaml', Buffer.from(text))
  store = new ImageStore(backend)
}

function run(options: CleanOptions = {}, filter = ''): Promise<CleanResult> {
  return clean(store, filter, { graceMs: 0, now: () => time, ...options })
}

async function keys(prefix = ''): Promise<readonly string[]> {
  return (await Array.fromAsync(backend.list(prefix))).map(({ key }) => key)
}

async function tags(): Promise<readonly string[]> {
  const found = await keys('manifests/')
  return found.filter((key) => key.endsWith('/manifest.json')).map((key) => key.slice(10, -14))
}

describe('clean', () => {
  it('changes nothing unless it is told to, and says what it would', async () => {
    await configure('default: {lifecycle: {keep_last: 1}}')
    await plant('app', 'v1')
    time += DAY
    await plant('app', 'v2')
    const before = await keys()
    const faulty = new FaultyBackend(backend)
    const dry = await clean(new ImageStore(faulty), '', { graceMs: 0, now: () => time })
    expect(await keys()).toEqual(before)
    expect(faulty.calls.filter(({ method }) => method === 'put' || method === 'delete')).toEqual([])
    // What v1 names stays pullable by its digest.
    expect(dry).toMatchObject({ dry_run: true, tags_evaluated: 2, tags_deleted: 1, deleted: 0 })
    const { untagged, ...real } = await run({ confirm: true })
    expect(real).toEqual({ ...dry, dry_run: false })
    expect(untagged).toMatchObject({ images: 1 })
    expect(await tags()).toEqual(['app/v2'])
  })

  it('has every field that its readers know', async () => {
    expect(Object.keys(await run())).toEqual(
      expect.arrayContaining([
        'ref',
        'dry_run',
        'tags_evaluated',
        'tags_deleted',
        'blobs_deleted',
        'freed_bytes',
        'skipped_recent',
        'scanned',
        'deleted',
      ]),
    )
  })

  it('takes tags alone or content alone', async () => {
    await configure('default: {lifecycle: {keep_last: 1}}')
    await plant('app', 'v1')
    time += DAY
    await plant('app', 'v2')
    expect(await run({ confirm: true, only: 'blobs' })).toMatchObject({
      tags_evaluated: 0,
      deleted: 0,
    })
    expect(await run({ confirm: true, only: 'tags' })).toMatchObject({
      tags_deleted: 1,
      scanned: 0,
    })
    expect(await run({ confirm: true, only: 'blobs' })).toMatchObject({ deleted: 0 })
    time += 15 * DAY
    const later = await run({ confirm: true, only: 'blobs' })
    expect(later).toMatchObject({ records_deleted: 1 })
    const { deleted } = await run({ confirm: true, only: 'blobs' })
    // The config and the layer of v1; the shared one stays.
    expect(later.deleted + deleted).toBe(2)
  })

  it('removes the files of a tag by exact name and no nested image', async () => {
    await configure('images: {team: {lifecycle: {max_age: 10d}}}')
    const old = image('old')
    await plant('team', 'app', old)
    for (const file of [
      'history.json',
      'signatures/0123456789abcdef.json',
      'config.json',
      'notes.txt',
    ]) {
      await backend.put(`manifests/team/app/${file}`, Buffer.from('[]'))
    }
    await plant('team/app', 'v1')
    time += 11 * DAY
    expect(await run({ confirm: true, only: 'tags' })).toMatchObject({ tags_deleted: 1 })
    expect(await keys('manifests/')).toEqual([
      'manifests/team/app/notes.txt',
      'manifests/team/app/v1/manifest.json',
    ])
  })

  it('narrows tags by name, and judges content of the whole bucket', async () => {
    await configure('default: {lifecycle: {keep_last: 1}}')
    for (const tag of ['v1', 'v2']) {
      await plant('app', tag)
      await plant('team/app', tag)
      time += DAY
    }
    await run({ confirm: true }, 'team/')
    expect(await tags()).toEqual(['app/v1', 'app/v2', 'team/app/v2'])
  })

  it('goes by rules that are not set in the store', async () => {
    await plant('app', 'v1')
    time += DAY
    await plant('app', 'v2')
    const config = { default: { lifecycle: { keepLast: 1 } }, images: {} }
    expect(await run({ config })).toMatchObject({ tags_deleted: 1 })
    expect(await run()).toMatchObject({ tags_evaluated: 0, tags_deleted: 0 })
  })

  it('passes over immutable images and says so', async () => {
    await configure('default: {immutable: true, lifecycle: {keep_last: 1}}')
    await plant('app', 'v1')
    await plant('app', 'v2')
    expect(await run({ confirm: true })).toMatchObject({ images_immutable: 1, tags_deleted: 0 })
  })

  it('leaves a tag that is pushed while it runs', async () => {
    await configure('default: {lifecycle: {max_age: 10d}}')
    await plant('app', 'v1')
    time += 11 * DAY
    const faulty = new FaultyBackend(backend, {
      before: async ({ method, key }) => {
        if (method !== 'head' || !key.endsWith('manifest.json')) return
        time += 1000
        await plant('app', 'v1', image('new'))
      },
    })
    const options = { graceMs: 0, confirm: true, now: () => time }
    expect(await clean(new ImageStore(faulty), '', options)).toMatchObject({ tags_deleted: 0 })
    expect(await tags()).toEqual(['app/v1'])
  })

  it('explains every tag and every object', async () => {
    await configure('default: {lifecycle: {max_age: 10d}}')
    await plant('app', 'v1')
    time += 11 * DAY
    await plant('app', 'v2')
    const { tags: explained, objects } = await run({ explain: true })
    expect(explained).toMatchObject([
      { image: 'app', tag: 'v2', keep: true, rule: 'max_age', reason: '0s old, no more than 10d' },
      { image: 'app', tag: 'v1', keep: false, rule: 'max_age', reason: '11d old, more than 10d' },
    ])
    expect(objects).toEqual([])
    await backend.put(blobKey(image('x').root.descriptor.digest), Buffer.from('garbage'))
    const again = await run({ explain: true })
    expect(again.objects?.map(({ outcome }) => outcome)).toEqual(['would-delete'])
  })

  it('finds garbage first and deletes it when the grace period is over', async () => {
    await plant('app', 'v1')
    await backend.delete([manifestKey({ name: 'app', tag: 'v1' })])
    time += 2 * HOUR
    const options = { confirm: true, graceMs: undefined }
    expect(await run({ ...options, expectFewer: true })).toMatchObject({
      deleted: 0,
      skipped_recent: 3,
    })
    time += HOUR
    expect(await run({ ...options, expectFewer: true })).toMatchObject({
      deleted: 3,
      skipped_recent: 0,
    })
    expect(await keys()).toEqual([expect.stringMatching(/^\.s3lo\/gc\/tags\/0{12}-/)])
  })

  it('deletes no content while a manifest cannot be read, and names it', async () => {
    await plant('app', 'v1')
    await backend.put('manifests/bad/v1/manifest.json', Buffer.from('{'))
    await backend.put(blobKey(image('x').root.descriptor.digest), Buffer.from('garbage'))
    const result = await run({ confirm: true })
    expect(result).toMatchObject({ deleted: 0, unreadable: [{ image: 'bad:v1' }] })
    expect(cleanFailure(result)).toMatchObject({ code: 'INTEGRITY' })
    const ignoring = await run({ confirm: true, ignore: ['bad:v1'] })
    expect(ignoring).toMatchObject({ deleted: 1, unreadable: [] })
    expect(cleanFailure(ignoring)).toBeUndefined()
  })

  it('is not stopped by a layer that is missing', async () => {
    const broken = image('broken')
    await plant('app', 'v1', broken)
    const [, layer] = successors(parseManifest(broken.root.content, 'broken'))
    await backend.delete([blobKey(layer!.digest)])
    await backend.put(blobKey(image('x').root.descriptor.digest), Buffer.from('garbage'))
    expect(await run({ confirm: true })).toMatchObject({ deleted: 1, unreadable: [] })
  })
})

describe('what is about another image', () => {
  const subject = image('signed')
  const [signature = ''] = cosignTagsOf(subject.root.descriptor.digest)
  const place = { repository: 'app', subject: subject.root.descriptor }

  beforeEach(async () => {
    await configure('default: {lifecycle: {max_age: 10d, keep_untagged: 0}}')
    await plant('app', 'v1', subject)
    await plant('app', signature, image('signature'))
    const nested = cosignTagsOf(image('signature').root.descriptor.digest)[0] ?? ''
    await plant('app', nested, image('signature of a signature'))
  })

  it('stays as long as its image, however old it is', async () => {
    time += 9 * DAY
    await plant('app', 'again', subject)
    time += 9 * DAY
    await run({ confirm: true })
    expect(await tags()).toHaveLength(3)
    expect(await tags()).toContain('app/again')
  })

  it('goes with its image', async () => {
    time += 11 * DAY
    expect(await run({ confirm: true })).toMatchObject({ tags_deleted: 3 })
    expect(await tags()).toEqual([])
    expect(await keys('blobs/')).toHaveLength(7)
    time += 15 * DAY
    await run({ confirm: true, expectFewer: true })
    await run({ confirm: true, expectFewer: true })
    expect(await keys('blobs/')).toEqual([])
  })

  it('stays while a writer may still push its image', async () => {
    await backend.delete([manifestKey({ name: 'app', tag: 'v1' })])
    await run({ confirm: true, graceMs: HOUR })
    expect(await tags()).toHaveLength(2)
    time += 2 * HOUR
    await run({ confirm: true, graceMs: HOUR })
    expect(await tags()).toEqual([])
  })

  it('stays while a manifest cannot be read', async () => {
    await backend.put('manifests/bad/v1/manifest.json', Buffer.from('{'))
    await backend.delete([manifestKey({ name: 'app', tag: 'v1' })])
    await run({ confirm: true })
    expect(await tags()).toHaveLength(3)
  })

  it('as a referrer or a record of one lives and dies with it', async () => {
    const referrer = referrerFixture(subject.root.descriptor, 'application/soci', '{"a":1}')
    const open = ({ digest }: { digest: string }): Promise<Readable> =>
      Promise.resolve(Readable.from([referrer.content.get(digest)!]))
    await attachReferrer(store, referrer.root, place, open)
    await store.close()
    const { digest } = referrer.root.descriptor
    await backend.put(`.s3lo/soci/artifacts/${digest.replace(':', '-')}.json`, Buffer.from('{}'))
    await backend.put('.s3lo/soci/artifacts/other.json', Buffer.from('{}'))
    expect(await run({ confirm: true })).toMatchObject({ deleted: 0 })
    time += 11 * DAY
    await run({ confirm: true })
    expect(await keys('.s3lo/soci/')).toHaveLength(2)
    time += 15 * DAY
    await run({ confirm: true, expectFewer: true })
    await run({ confirm: true, expectFewer: true })
    expect(await keys('.s3lo/soci/')).toEqual(['.s3lo/soci/artifacts/other.json'])
    expect(await keys('.s3lo/blobs/')).toEqual([])
  })

  it('as a referrer whose image is about to be pushed again is whole afterwards', async () => {
    const referrer = referrerFixture(subject.root.descriptor, 'application/sbom', '{"a":1}')
    const open = ({ digest }: { digest: string }): Promise<Readable> =>
      Promise.resolve(Readable.from([referrer.content.get(digest)!]))
    await attachReferrer(store, referrer.root, place, open)
    await store.close()
    const reference = { name: 'app', tag: 'v1' }
    await backend.delete([manifestKey(reference)])
    // The collection runs while the push has pinned the image and published nothing yet.
    const target = new ImageStore(
      new FaultyBackend(backend, {
        before: async ({ method, key }) => {
          if (method === 'put' && key.endsWith('/v1/manifest.json')) await run({ confirm: true })
        },
      }),
    )
    const source = new FixtureSource({ 'app:v1': subject })
    await copy({ source, reference }, { target, reference })
    for (const blob of successors(parseManifest(referrer.root.content, 'referrer'))) {
      expect(await store.blobs.hasReferrerBlob(blob)).toBe(true)
    }
    expect(await keys('.s3lo/repositories/app/_referrers/')).toHaveLength(1)
  })
})
