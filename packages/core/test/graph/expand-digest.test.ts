import { beforeEach, describe, expect, it } from 'vitest'
import { isS3loError, S3loError } from '../../src/errors.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import {
  FaultyBackend,
  imageFixture,
  indexFixture,
  type MemoryBackend,
  putImage,
  type StorageCall,
} from '../../src/testing/index.ts'
import { expandDigest } from '../../src/graph/expand-digest.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const amd64 = imageFixture({ layers: ['base', 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 })
const foreign = imageFixture({ layers: ['foreign'] })

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  await putImage(bucket, { name: 'app', tag: 'v1' }, both)
  await putImage(bucket, { name: 'app/nested', tag: 'v1' }, foreign)
})

function digest({ root }: typeof amd64): string {
  return root.descriptor.digest
}

/** `mem://b/app@sha256:` and the first hex digits. */
function short(image: typeof amd64, digits = 12): string {
  return `mem://b/app@${digest(image).slice(0, 'sha256:'.length + digits)}`
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => (isS3loError(error) ? error.code : 'other'),
  )
}

/** Two single-platform images whose digests begin with the same `digits`. */
function twins(digits: number): readonly (typeof amd64)[] {
  const seen = new Map<string, typeof amd64>()
  for (let i = 0; ; i++) {
    const image = imageFixture({ layers: ['twin'], label: `${i}` })
    const start = digest(image).slice(0, 'sha256:'.length + digits)
    const other = seen.get(start)
    if (other) return [other, image]
    seen.set(start, image)
  }
}

describe('a shortened digest', () => {
  it('names the manifest of a tag and that of a platform, in every operation that reads', async () => {
    const { host } = world
    const found = await host.inspect(short(both))
    expect(found).toMatchObject({ reference: `mem://b/app@${digest(both)}`, digest: digest(both) })
    expect((await host.manifest(short(arm64, 4))).descriptor.digest).toBe(digest(arm64))
    const image = await host.openImage(short(amd64))
    expect(image.reference.digest).toBe(digest(amd64))
    await image.store.close()
    const copied = await host.copy(short(amd64), 'mem://c/app:v1')
    expect(copied.digest).toBe(digest(amd64))
  })

  it('is not looked for in other images, nor among blobs that are no manifests', async () => {
    expect(await codeOf(world.host.inspect(short(foreign)))).toBe('NOT_FOUND')
    const layer = [...amd64.content.keys()][0] ?? ''
    const reference = `mem://b/app@${layer.slice(0, 20)}`
    expect(await codeOf(world.host.inspect(reference))).toBe('NOT_FOUND')
  })

  it('is refused with its candidates where it is the beginning of several', async () => {
    const images = twins(4)
    for (const [i, image] of images.entries()) {
      await putImage(bucket, { name: 'app', tag: `twin-${i}` }, image)
    }
    const [first = amd64] = images
    const error = await world.host.inspect(short(first, 4)).catch((reason: unknown) => reason)
    expect(isS3loError(error, 'INVALID_REFERENCE') && error.hint).toBeTruthy()
    for (const image of images)
      expect(error).toMatchObject({ hint: expect.stringContaining(digest(image)) })
    expect((await world.host.inspect(short(first))).digest).toBe(digest(first))
  })

  it('is one candidate however many tags have it', async () => {
    for (let i = 0; i < 30; i++) await putImage(bucket, { name: 'app', tag: `t${i}` }, amd64)
    expect((await world.host.inspect(short(amd64))).digest).toBe(digest(amd64))
  })

  it('is found beside tags that are damaged', async () => {
    await bucket.put(manifestKey({ name: 'app', tag: 'damaged' }), Buffer.from('{'))
    expect((await world.host.inspect(short(amd64))).digest).toBe(digest(amd64))
  })

  it('is not guessed where a tag cannot be read: it could be the other candidate', async () => {
    const key = manifestKey({ name: 'app', tag: 'secret' })
    await bucket.put(key, both.root.content)
    const before = (call: StorageCall): void => {
      if (call.method === 'get' && call.key === key) throw new S3loError('FORBIDDEN', 'no')
    }
    const reference = { name: 'app', digest: digest(amd64).slice(0, 20) }
    const store = new ImageStore(new FaultyBackend(bucket, { before }))
    expect(await codeOf(expandDigest(store, reference))).toBe('FORBIDDEN')
  })

  it('needs 4 hex digits in lower case', async () => {
    for (const text of [
      'sha256:',
      'sha256:4f2',
      'sha256:4F2A',
      '4f2a',
      'md5:4f2a',
      'sha256:4f2a…',
    ]) {
      expect(await codeOf(world.host.inspect(`mem://b/app@${text}`))).toBe('INVALID_REFERENCE')
    }
  })

  it('costs a listing and a read for each tag, and nothing where it is whole', async () => {
    for (let i = 0; i < 30; i++) await putImage(bucket, { name: 'app', tag: `t${i}` }, amd64)
    const backend = new FaultyBackend(bucket, {})
    const store = new ImageStore(backend)
    const whole = { name: 'app', digest: digest(amd64) }
    expect(await expandDigest(store, whole)).toBe(whole)
    expect(backend.calls).toEqual([])
    await expandDigest(store, { ...whole, digest: whole.digest.slice(0, 20) })
    const methods = backend.calls.map(({ method }) => method)
    expect(methods.filter((method) => method === 'get').length).toBe(31)
    expect(methods.filter((method) => method !== 'get').length).toBeLessThan(4)
  })
})

describe('what writes or deletes', () => {
  it('refuses a shortened digest', async () => {
    const { host } = world
    const reference = short(amd64)
    world.images['app:v1'] = amd64
    const before = (await Array.fromAsync(bucket.list(''))).length
    expect(await codeOf(host.push('fix:app:v1', reference))).toBe('INVALID_REFERENCE')
    expect(await codeOf(host.copy('mem://b/app:v1', reference))).toBe('INVALID_REFERENCE')
    expect(await codeOf(host.delete(reference))).toBe('INVALID_REFERENCE')
    expect((await Array.fromAsync(bucket.list(''))).length).toBe(before)
  })
})
