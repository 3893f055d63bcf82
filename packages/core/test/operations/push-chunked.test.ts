import { buffer } from 'node:stream/consumers'
import { beforeEach, describe, expect, it } from 'vitest'
import type { PushResult } from '../../src/operations/push.ts'
import { CHUNK_FRAMES_PREFIX, CHUNK_RECIPES_PREFIX } from '../../src/layout/chunk-keys.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { ImageManifest } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { decompress } from '../../src/stream/decompress.ts'
import {
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  noise,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const MIB = 1024 * 1024

/** Several chunks. */
const LARGE = noise('large', 12 * MIB)
const SMALL = Buffer.from('a layer of a few bytes')

let world: MemoryWorld
let bucket: MemoryBackend
let image: ImageFixture

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  image = imageFixture({ layers: [LARGE, SMALL] })
  world.images['app:v1'] = image
  await configure('chunked: true\n')
})

const configure = (text: string): Promise<unknown> =>
  bucket.put(BUCKET_CONFIG_KEY, Buffer.from(text))

const push = (from = 'app:v1', to = 'app:v1'): Promise<PushResult> =>
  world.host.push(`fix:${from}`, `mem://b/${to}`)

const keysBelow = async (prefix: string): Promise<string[]> =>
  (await Array.fromAsync(bucket.list(prefix))).map(({ key }) => key)

const configText = async (): Promise<string> =>
  (await buffer((await bucket.get(BUCKET_CONFIG_KEY)).body)).toString()

/** The layers of a tag, as they are stored and as they were. */
async function layersOf(tag: string): Promise<{ manifest: ImageManifest; raw: Buffer[] }> {
  const store = new ImageStore(bucket)
  const { manifest } = await store.read({ name: 'app', tag })
  if (manifest.kind !== 'manifest') throw new Error('an index')
  const raw: Buffer[] = []
  for (const layer of manifest.layers) {
    const body = await store.fetch(layer)
    const isZstd = layer.mediaType === MEDIA_TYPE.ociLayerZstd
    const content = isZstd ? decompress(body, 'zstd', layer.digest) : body
    raw.push(Buffer.concat(await Array.fromAsync(content as AsyncIterable<Uint8Array>)))
  }
  return { manifest, raw }
}

const writesOf = (calls: readonly string[]): readonly string[] =>
  calls.filter((key) => /^(?:blobs|\.s3lo\/(?:chunks|recipes))\//.test(key))

/** The keys that are written, and how many requests are made, while `work` runs. */
async function observed(
  work: () => Promise<unknown>,
): Promise<{ readonly written: readonly string[]; readonly requests: number }> {
  const written: string[] = []
  let requests = 0
  const [put, get] = [bucket.put.bind(bucket), bucket.get.bind(bucket)]
  const [head, list] = [bucket.head.bind(bucket), bucket.list.bind(bucket)]
  const remove = bucket.delete.bind(bucket)
  const counted =
    <A extends unknown[], R>(method: (...args: A) => R) =>
    (...args: A): R => {
      requests += 1
      return method(...args)
    }
  Object.assign(bucket, {
    put: counted((...args: Parameters<typeof put>) => {
      written.push(args[0])
      return put(...args)
    }),
    get: counted(get),
    head: counted(head),
    list: counted(list),
    delete: counted(remove),
  })
  await work()
  Object.assign(bucket, { put, get, head, list, delete: remove })
  return { written, requests }
}

describe('a push into a store with chunked layers', () => {
  it('stores large layers in chunks, small ones as one zstd blob, and keeps the image ID', async () => {
    const result = await push()
    const { manifest, raw } = await layersOf('v1')
    expect(raw.map((layer) => digestOf(layer))).toEqual([digestOf(LARGE), digestOf(SMALL)])
    const types = manifest.layers.map(({ mediaType }) => mediaType)
    expect(types).toEqual([MEDIA_TYPE.ociLayerZstd, MEDIA_TYPE.ociLayerZstd])
    const source = image.root.manifest as ImageManifest
    expect(manifest.config).toEqual(source.config)
    expect(await keysBelow(CHUNK_RECIPES_PREFIX)).toHaveLength(1)
    const chunks = await keysBelow(CHUNK_FRAMES_PREFIX)
    expect(chunks.length).toBeGreaterThan(1)
    // The config and the small layer.
    expect(await keysBelow('blobs/')).toHaveLength(2)
    expect(result).toMatchObject({
      chunks: chunks.length,
      chunks_uploaded: chunks.length,
      blobs_uploaded: 3,
      blobs_skipped: 0,
    })
    expect(result.bytes_uploaded).toBeGreaterThan(LARGE.length)
    expect(result.bytes_uploaded).toBeLessThan(LARGE.length * 1.01)
    expect(await configText()).toBe('chunked: true\nchunk_format: 2\n')
  })

  it('changes nothing where the image is there, with a few requests', async () => {
    const first = await push()
    let again: PushResult | undefined
    const { written, requests } = await observed(async () => (again = await push()))
    expect(again).toEqual({
      ...first,
      chunks: 0,
      chunks_uploaded: 0,
      bytes_uploaded: 0,
      blobs_uploaded: 0,
      blobs_skipped: 3,
    })
    expect(writesOf(written)).toEqual([])
    expect(requests).toBeLessThan(30)
  })

  it('sends nothing of an image that another tag of the repository has', async () => {
    await push()
    const { written } = await observed(() => push('app:v1', 'app:v2'))
    expect(writesOf(written)).toEqual([])
    expect((await layersOf('v2')).manifest).toEqual((await layersOf('v1')).manifest)
  })

  it('sends the chunks that have changed', async () => {
    const { chunks } = await push()
    const changed = Buffer.concat([
      LARGE.subarray(0, 9 * MIB),
      Buffer.from('!'),
      LARGE.subarray(9 * MIB),
    ])
    world.images['app:v2'] = imageFixture({ layers: [changed, SMALL] })
    const result = await push('app:v2', 'app:v2')
    expect(result.chunks_uploaded).toBe(1)
    expect(result.chunks).toBe(chunks)
    expect((await layersOf('v2')).raw[0]!.equals(changed)).toBe(true)
    // Chunks are found without a tag that names them, too.
    const elsewhere = await world.host.push('fix:app:v2', 'mem://b/other:v1')
    expect(elsewhere.chunks_uploaded).toBe(0)
  })

  it.each([
    ['of the store', 'chunked: false\n'],
    ['of the image', 'chunked: true\nimages: {app: {chunked: false}}\n'],
    ['of a glob', 'chunked: true\nimages: {"a*": {chunked: false}}\n'],
  ])('leaves layers as they are by the setting %s', async (_, text) => {
    await configure(text)
    const { digest } = await push()
    expect(digest).toBe(image.root.descriptor.digest)
    expect(await configText()).toBe(text)
    expect(await keysBelow(CHUNK_FRAMES_PREFIX)).toEqual([])
  })

  it('takes the setting of an image before that of the store', async () => {
    await configure('chunked: false\nimages: {app: {chunked: true}}\n')
    expect((await push()).chunks).toBeGreaterThan(1)
  })

  it('writes whole zstd blobs where the bucket has another chunk format', async () => {
    await configure('chunked: true\nchunk_format: 1\n')
    const result = await push()
    expect(result).toMatchObject({ chunks: 0, blobs_uploaded: 3 })
    const { manifest, raw } = await layersOf('v1')
    expect(manifest.layers[0]?.mediaType).toBe(MEDIA_TYPE.ociLayerZstd)
    expect(raw.map((layer) => digestOf(layer))).toEqual([digestOf(LARGE), digestOf(SMALL)])
    expect(await keysBelow('.s3lo/chunks/')).toEqual([])
    expect(await configText()).toBe('chunked: true\nchunk_format: 1\n')
    expect(await push()).toMatchObject({ digest: result.digest, blobs_uploaded: 0 })
  })

  it('leaves an image that is there with its layers as they are', async () => {
    await configure('chunked: false\n')
    const { digest } = await push()
    await configure('chunked: true\n')
    world = Object.assign(new MemoryWorld(), { images: world.images })
    world.buckets.set('b', bucket)
    expect(await push()).toMatchObject({ digest, blobs_uploaded: 0 })
  })

  it('takes an immutable image again that is the same, and no other', async () => {
    await configure('chunked: true\nimages: {app: {immutable: true}}\n')
    const { digest } = await push()
    expect(await push()).toMatchObject({ digest, blobs_uploaded: 0 })
    world.images['app:v2'] = imageFixture({ layers: [noise('other', 2 * MIB)] })
    const { written } = await observed(async () => {
      await expect(push('app:v2', 'app:v1')).rejects.toMatchObject({ code: 'CONFLICT' })
    })
    expect(writesOf(written)).toEqual([])
  })

  it('leaves an index as it is: what it says about its manifests names their digests', async () => {
    const index = indexFixture({
      'linux/amd64': image,
      'linux/arm64': imageFixture({ layers: [LARGE], platform: 'linux/arm64' }),
    })
    world.images['app:all'] = index
    const { digest } = await world.host.push('fix:app:all', 'mem://b/app:all', {
      allPlatforms: true,
    })
    expect(digest).toBe(index.root.descriptor.digest)
    expect(await keysBelow(CHUNK_FRAMES_PREFIX)).toEqual([])
  })

  it('is refused for content that is not what its digest says', async () => {
    const layer = (image.root.manifest as ImageManifest).layers[0]!
    delete world.images['app:v1']
    world.images['app:bad'] = {
      root: image.root,
      content: new Map([...image.content, [layer.digest, noise('another', LARGE.length)]]),
    }
    await expect(push('app:bad', 'app:bad')).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keysBelow(CHUNK_RECIPES_PREFIX)).toEqual([])
    expect(await keysBelow('manifests/')).toEqual([])
  })

  it('counts on nothing of a tag that is gone once it is pinned, with all that it needs', async () => {
    const { chunks } = await push()
    const head = bucket.head.bind(bucket)
    bucket.head = async (key, options) => {
      if (key === 'manifests/app/v1/manifest.json') {
        bucket.head = head
        const gone = await Promise.all(
          [key, CHUNK_FRAMES_PREFIX, CHUNK_RECIPES_PREFIX].map((prefix) => keysBelow(prefix)),
        )
        await bucket.delete(gone.flat())
      }
      return head(key, options)
    }
    expect((await push('app:v1', 'app:v2')).chunks_uploaded).toBe(chunks)
    expect((await layersOf('v2')).raw[0]!.equals(LARGE)).toBe(true)
  })

  it('looks for every chunk again after a gap between its pins', async () => {
    let time = Date.now()
    bucket = new MemoryBackend({ bucket: 'b', now: () => new Date(time) })
    world.buckets.set('b', bucket)
    await configure('chunked: true\n')
    await push()
    // Pins are not renewed in time: the process stands still.
    const delay = (_ms: number, signal?: AbortSignal): Promise<void> =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    const store = new ImageStore(bucket, { protection: { delay } })
    const publication = store.begin()
    const reference = { name: 'app', tag: 'v2' }
    const compressor = publication.compressLayers(reference)
    await compressor.look('newest')
    const { layers } = image.root.manifest as ImageManifest
    expect(layers.every(({ digest }) => compressor.known.has(digest))).toBe(true)
    const [chunk] = await keysBelow(CHUNK_FRAMES_PREFIX)
    await bucket.delete([chunk!])
    time += 24 * 3_600_000
    const root = await store.read({ name: 'app', tag: 'v1' })
    await expect(publication.tag(root, reference)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await publication.release()
    expect(await keysBelow('manifests/app/v2/')).toEqual([])
  })
})
