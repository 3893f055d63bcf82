import { buffer } from 'node:stream/consumers'
import { beforeEach, describe, expect, it } from 'vitest'
import { beginLayerForm, type LayerForm, plannedLayerForm } from '../../src/store/layer-form.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { S3loError } from '../../src/errors.ts'
import type { ImageSource } from '../../src/contract/image-source.ts'
import { copy } from '../../src/operations/copy.ts'
import { push, type PushResult } from '../../src/operations/push.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  MemoryBackend,
  noise,
  putChunkedImage,
  putImage,
  type StorageCall,
} from '../../src/testing/index.ts'

const LARGE = noise('large', 2 * 1024 * 1024)
const app = imageFixture({ layers: [LARGE, 'small'] })
const small = imageFixture({ layers: ['a few bytes'] })
const source = new FixtureSource({ 'app:v1': app, 'small:v1': small })
const CHUNKED_IMAGE = { layers: [LARGE], format: 2, chunkSize: 1024 * 1024 } as const
const STAMP = 'chunk_format: 2\n'

let bucket: MemoryBackend
let observed: FaultyBackend
/** Of another store. */
let elsewhere: MemoryBackend

beforeEach(() => {
  elsewhere = new MemoryBackend({ bucket: 'elsewhere' })
  bucket = new MemoryBackend()
  observed = new FaultyBackend(bucket)
})

const configure = (text: string): Promise<unknown> =>
  bucket.put(BUCKET_CONFIG_KEY, Buffer.from(text))

const settings = async (): Promise<string | undefined> =>
  (await bucket.head(BUCKET_CONFIG_KEY)) &&
  (await buffer((await bucket.get(BUCKET_CONFIG_KEY)).body)).toString()

const place = (store = new ImageStore(observed)) => ({
  backend: observed,
  config: () => store.config(),
})

const pushTo = (name: string, store = new ImageStore(observed), dryRun = false) =>
  push(
    { source, reference: { name: name.includes('small') ? 'small' : 'app', tag: 'v1' } },
    store,
    { scheme: 'mem', bucket: 'b', name, tag: 'v1' },
    { dryRun },
  )

/** A source that is no store, so that its layers travel as blobs. */
const asRegistry = (store: ImageStore): ImageSource => ({
  kind: 'random-access',
  name: 'registry',
  resolve: (...args) => store.resolve(...args),
  fetch: (...args) => store.fetch(...args),
})

/** An image that is stored as it came has the digest of its source. */
const isWhole = ({ digest }: PushResult): boolean =>
  [app, small].some(({ root }) => root.descriptor.digest === digest)

const looks = (calls: readonly StorageCall[]): readonly StorageCall[] =>
  calls.filter(({ method }) => method === 'listPrefixes')

describe('where the settings say nothing about chunks', () => {
  it.each<[string, () => Promise<unknown>, LayerForm]>([
    ['a bucket without anything', () => Promise.resolve(), 'chunks'],
    ['settings of something else', () => configure('default: {immutable: true}\n'), 'chunks'],
    ['settings of another image', () => configure('images: {b: {chunked: false}}\n'), 'chunks'],
    ['content without a tag', () => bucket.put('blobs/sha256/00', Buffer.from('x')), 'chunks'],
    ['an image and our stamp', () => stamped(STAMP), 'chunks'],
    ['an image and no stamp', () => putImage(bucket, { name: 'b', tag: 'v1' }, small), 'given'],
    [
      'an image of layout v1.0.0',
      () => bucket.put('b/v1/manifest.json', small.root.content),
      'given',
    ],
    ['a folder of something else', () => bucket.put('backups/x', Buffer.from('x')), 'given'],
    ['chunks of the Go program', () => bucket.put('chunks/sha256/00', Buffer.from('x')), 'given'],
    ['no image and another stamp', () => configure('chunk_format: 1\n'), 'given'],
    ['a stamp that is not known', () => configure('chunk_format: 3\n'), 'given'],
  ])('a store with %s', async (_, prepare, form) => {
    await prepare()
    expect(await plannedLayerForm(place(), 'app')).toBe(form)
    const before = await settings()
    expect(await beginLayerForm(place(), 'app')).toBe(form)
    const isStamped = form === 'chunks' && !before?.includes(STAMP)
    expect(await settings()).toBe(isStamped ? `${before ?? ''}${STAMP}` : before)
  })

  it.each<[string, LayerForm, LayerForm]>([
    ['chunked: true\n', 'chunks', 'chunks'],
    ['chunked: true\nchunk_format: 1\n', 'blobs', 'blobs'],
    ['chunked: false\nchunk_format: 2\n', 'given', 'given'],
    ['images: {app: {chunked: true}}\n', 'chunks', 'given'],
    ['chunked: true\nimages: {"a*": {chunked: false}}\n', 'given', 'chunks'],
  ])('and not where they say %j', async (text, ofImage, ofStore) => {
    await putImage(bucket, { name: 'b', tag: 'v1' }, small)
    await configure(text)
    expect(await plannedLayerForm(place(), 'app')).toBe(ofImage)
    expect(await plannedLayerForm(place())).toBe(ofStore)
  })

  async function stamped(text: string): Promise<void> {
    await putImage(bucket, { name: 'b', tag: 'v1' }, small)
    await configure(text)
  }
})

describe('the first push into a store', () => {
  it('stamps it, for small layers too, so that the next ones are compressed too', async () => {
    expect(isWhole(await pushTo('small'))).toBe(false)
    expect(await settings()).toBe(STAMP)
    expect((await pushTo('app')).chunks).toBeGreaterThan(0)
    expect(await pushTo('small')).toMatchObject({ blobs_uploaded: 0 })
  })

  it('leaves the next ones to the stamp, within the seconds in which settings are remembered', async () => {
    const store = new ImageStore(observed)
    await pushTo('small', store)
    expect((await pushTo('app', store)).chunks).toBeGreaterThan(0)
  })

  it('is that of two writers at once, who stamp it both', async () => {
    const [first, second] = await Promise.all([pushTo('app'), pushTo('other')])
    expect(first.chunks).toBeGreaterThan(0)
    expect(second.digest).toBe(first.digest)
    expect(await settings()).toBe(STAMP)
  })

  it('takes the stamp that the Go program writes in between', async () => {
    observed.faults = {
      before: async ({ method, key }) => {
        if (method === 'get' && key === BUCKET_CONFIG_KEY && looks(observed.calls).length > 0) {
          await configure('chunk_format: 1\n')
        }
      },
    }
    expect(isWhole(await pushTo('app'))).toBe(true)
    expect(await settings()).toBe('chunk_format: 1\n')
  })

  it('has nothing to look for where the image is there unchanged', async () => {
    await putImage(bucket, { name: 'app', tag: 'v1' }, app)
    expect(await pushTo('app')).toMatchObject({ blobs_uploaded: 0 })
    expect(looks(observed.calls)).toEqual([])
  })

  it('has nothing to look for where layers come compressed, and stamps nothing', async () => {
    await putChunkedImage(elsewhere, { name: 'app', tag: 'v1' }, CHUNKED_IMAGE)
    const from = { source: new ImageStore(elsewhere), reference: { name: 'app', tag: 'v1' } }
    const to = { scheme: 'mem', bucket: 'b', name: 'app', tag: 'v1' }
    await push({ ...from, source: asRegistry(from.source) }, new ImageStore(observed), to)
    expect(looks(observed.calls)).toEqual([])
    expect(await settings()).toBeUndefined()
  })

  it('looks once, and asks for the stamp once more where it sees an image', async () => {
    await putImage(bucket, { name: 'b', tag: 'v1' }, small)
    expect(isWhole(await pushTo('app'))).toBe(true)
    expect(looks(observed.calls)).toHaveLength(1)
    const reads = observed.calls.filter(({ key }) => key === BUCKET_CONFIG_KEY)
    expect(reads.map(({ method }) => method)).toEqual(['get', 'get'])
  })

  it('does not look into a store with a stamp', async () => {
    await configure(STAMP)
    expect((await pushTo('app')).chunks).toBeGreaterThan(0)
    expect(looks(observed.calls)).toEqual([])
  })

  it('writes nothing as a dry run, and says what the push does then', async () => {
    const planned = await pushTo('app', undefined, true)
    expect(await Array.fromAsync(bucket.list(''))).toEqual([])
    const { dry_run: _dry, blobs: _blobs, ...rest } = planned
    expect(await pushTo('app')).toEqual(rest)
  })
})

describe('a principal without rights', () => {
  const refuse = (isRefused: (call: StorageCall) => boolean): void => {
    observed.faults = {
      before: (call) => {
        if (isRefused(call)) throw new S3loError('FORBIDDEN', 'not allowed')
      },
    }
  }

  it('to list leaves layers as they are', async () => {
    refuse(({ method }) => method === 'listPrefixes')
    expect(isWhole(await pushTo('app'))).toBe(true)
    expect(await settings()).toBeUndefined()
  })

  it('to change settings leaves layers as they are, unless chunks are asked for', async () => {
    refuse(({ method, key }) => method === 'put' && key === BUCKET_CONFIG_KEY)
    expect(isWhole(await pushTo('app'))).toBe(true)
    await configure('chunked: true\n')
    await expect(pushTo('app2')).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})

describe('a copy of a layer in chunks', () => {
  it.each([
    ['that has no image yet, takes it so and stamps the store', undefined, 2],
    ['with images and no stamp, takes it whole', 'b', undefined],
  ])('into a store %s', async (_, present, stamp) => {
    const reference = { name: 'app', tag: 'v1' }
    await putChunkedImage(elsewhere, reference, CHUNKED_IMAGE)
    const from = { source: new ImageStore(elsewhere), reference }
    if (present) await putImage(bucket, { name: present, tag: 'v1' }, small)
    const target = new ImageStore(observed)
    for (const tag of ['v1', 'v2']) await copy(from, { target, reference: { name: 'app', tag } })
    expect((await new ImageStore(bucket).config()).chunkFormat).toBe(stamp)
    const chunks = await Array.fromAsync(bucket.list('.s3lo/chunks/'))
    expect(chunks.length > 0).toBe(stamp === 2)
  })
})
