import { Readable } from 'node:stream'
import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { cutChunks } from '../../src/chunk/cut-chunks.ts'
import { chunkFrameKey } from '../../src/layout/chunk-keys.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { ImageManifest } from '../../src/oci/document.ts'
import type { PushOptions, PushResult } from '../../src/operations/push.ts'
import {
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  type MemoryBackend,
  noise,
} from '../../src/testing/index.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { push as pushImage } from '../../src/operations/push.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const MIB = 1024 * 1024

/** Several chunks. */
const LARGE = noise('large', 12 * MIB)
const CHANGED = Buffer.concat([
  LARGE.subarray(0, 9 * MIB),
  Buffer.from('!'),
  LARGE.subarray(9 * MIB),
])
const SMALL = Buffer.from('a layer of a few bytes')
const CHUNKED = 'chunked: true\n'

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  world.images['app:v1'] = imageFixture({ layers: [LARGE, SMALL] })
  world.images['app:v2'] = imageFixture({ layers: [CHANGED, SMALL] })
})

const configure = (text: string): Promise<unknown> =>
  bucket.put(BUCKET_CONFIG_KEY, Buffer.from(text))

const push = (from: string, to: string, options?: PushOptions): Promise<PushResult> =>
  world.host.push(`fix:${from}`, `mem://b/${to}`, options)

const WRITES = [
  'put',
  'delete',
  'copyFrom',
  'move',
  'touch',
  'proveGuarantees',
  'abortUpload',
] as const

/** As {@link push} of a store in which every write fails. */
async function plan(from: string, to: string, options?: PushOptions): Promise<PushResult> {
  const refuse = (): never => {
    throw new Error('a dry run writes')
  }
  Object.assign(bucket, Object.fromEntries(WRITES.map((method) => [method, refuse])))
  try {
    return await push(from, to, { ...options, dryRun: true })
  } finally {
    for (const method of WRITES) Reflect.deleteProperty(bucket, method)
  }
}

/** The plan of a push, which is then made and does what was planned. */
async function planned(from: string, to: string, options?: PushOptions): Promise<PushResult> {
  const expected = await plan(from, to, options)
  const { dry_run: dryRun, blobs = [], ...rest } = expected
  expect(dryRun).toBe(true)
  expect(await push(from, to, options)).toEqual(rest)
  const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
  expect({
    bytes: sum(blobs.map(({ size }) => size)),
    bytes_uploaded: sum(blobs.map((blob) => blob.bytes_uploaded)),
    chunks: sum(blobs.map(({ chunks = 0 }) => chunks)),
    chunks_uploaded: sum(blobs.map((blob) => blob.chunks_uploaded ?? 0)),
    blobs_uploaded: blobs.filter(({ exists }) => !exists).length,
    blobs_skipped: blobs.filter(({ exists }) => exists).length,
  }).toEqual({
    bytes: rest.bytes,
    bytes_uploaded: rest.bytes_uploaded,
    chunks: rest.chunks,
    chunks_uploaded: rest.chunks_uploaded,
    blobs_uploaded: rest.blobs_uploaded,
    blobs_skipped: rest.blobs_skipped,
  })
  return expected
}

const existing = ({ blobs = [] }: PushResult): readonly boolean[] =>
  blobs.map(({ exists }) => exists)

describe('a dry run of a push writes nothing, and foretells the push', () => {
  it('into an empty store that takes chunks', async () => {
    await configure(CHUNKED)
    const result = await planned('app:v1', 'app:v1')
    expect(existing(result)).toEqual([false, false, false])
    expect(result.chunks).toBeGreaterThan(1)
    expect(result.chunks_uploaded).toBe(result.chunks)
  })

  it('of a changed image: which chunks are new', async () => {
    await configure(CHUNKED)
    await push('app:v1', 'app:v1')
    const result = await planned('app:v2', 'app:v1')
    const { manifest } = await new ImageStore(bucket).read({ name: 'app', tag: 'v1' })
    const [layer] = (manifest as ImageManifest).layers
    expect(existing(result)).toEqual([false, false, true])
    expect(result.blobs?.[1]).toMatchObject({
      digest: layer?.digest,
      media_type: layer?.mediaType,
      size: layer?.size,
      chunks: result.chunks,
      chunks_uploaded: 1,
    })
  })

  it.each([
    ['under the same tag', 'app:v1'],
    ['under another tag', 'app:other'],
    ['in another repository', 'other:v1'],
  ])('of an image that is there, %s', async (_, to) => {
    await configure(CHUNKED)
    await push('app:v1', 'app:v1')
    const result = await planned('app:v1', to)
    expect(result).toMatchObject({ bytes_uploaded: 0, blobs_uploaded: 0 })
  })

  it('into a store of whole layers: which blobs exist', async () => {
    await configure('chunked: false\n')
    await push('app:v1', 'app:v1')
    const result = await planned('app:v2', 'app:v2')
    expect(existing(result)).toEqual([false, false, true])
    expect(result.blobs?.[1]).toMatchObject({ bytes_uploaded: CHANGED.length })
    expect(result.blobs?.[1]).not.toHaveProperty('chunks')
  })

  it('into a bucket with the chunks of the Go program, whose stamp stays', async () => {
    await configure(`${CHUNKED}chunk_format: 1\n`)
    const result = await planned('app:v1', 'app:v1')
    expect(result).toMatchObject({ chunks: 0, blobs_uploaded: 3 })
  })

  it('into a store with the frames of another encoder', async () => {
    await configure(CHUNKED)
    const params = { [constants.ZSTD_c_compressionLevel]: 9, [constants.ZSTD_c_checksumFlag]: 1 }
    for await (const { bytes, digest: raw } of cutChunks(Readable.from([LARGE]))) {
      const frame = zstdCompressSync(bytes, { params })
      await bucket.put(chunkFrameKey({ raw, frame: digestOf(frame) }), frame)
    }
    const result = await planned('app:v1', 'app:v1')
    expect(result.chunks).toBeGreaterThan(1)
    expect(result.chunks_uploaded).toBe(0)
  })

  it('of an image with one chunk many times', async () => {
    await configure(CHUNKED)
    world.images['app:zero'] = imageFixture({ layers: [Buffer.alloc(33 * MIB)] })
    const result = await planned('app:zero', 'app:zero')
    expect(result.chunks).toBeGreaterThan(result.chunks_uploaded)
  })

  it('of an index with all its platforms', async () => {
    world.images['app:all'] = indexFixture({
      'linux/amd64': imageFixture({ layers: [SMALL] }),
      'linux/arm64': imageFixture({ layers: ['other'], platform: 'linux/arm64' }),
    })
    const result = await planned('app:all', 'app:all', { allPlatforms: true })
    expect(result).toMatchObject({ blobs_uploaded: 4 })
  })
})

describe('a dry run of a push', () => {
  it('reads each blob that it has to read once', async () => {
    await configure(CHUNKED)
    const source = new FixtureSource(world.images)
    const from = { source, reference: { name: 'app', tag: 'v1' } }
    const to = { scheme: 'mem', bucket: 'b', name: 'app', tag: 'v1' }
    await pushImage(from, new ImageStore(bucket), to, { dryRun: true })
    expect(source.fetched.filter((digest) => digest === digestOf(LARGE))).toHaveLength(1)
    expect(new Set(source.fetched).size).toBe(source.fetched.length)
  })

  it('fails where the push would: of an immutable tag, of other content than its digest says', async () => {
    await configure(`${CHUNKED}images: {app: {immutable: true}}\n`)
    await push('app:v1', 'app:v1')
    await expect(plan('app:v2', 'app:v1')).rejects.toMatchObject({ code: 'CONFLICT' })
    world.images['app:bad'] = damaged(world.images['app:v2']!)
    delete world.images['app:v2']
    await expect(plan('app:bad', 'app:bad')).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('does not validate', async () => {
    await expect(plan('app:v1', 'app:v1', { validate: true } as PushOptions)).rejects.toMatchObject(
      {
        code: 'USAGE',
      },
    )
  })
})

function damaged({ root, content }: ImageFixture): ImageFixture {
  return { root, content: new Map([...content, [digestOf(CHANGED), noise('bad', CHANGED.length)]]) }
}
