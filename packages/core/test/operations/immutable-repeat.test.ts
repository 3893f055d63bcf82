import { beforeEach, describe, expect, it } from 'vitest'
import { push } from '../../src/operations/push.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  indexFixture,
  MemoryBackend,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const app = imageFixture({ layers: ['app'], platform: 'linux/amd64' })
const arm = imageFixture({ layers: ['arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': app, 'linux/arm64': arm })

/** A push gives the digest that the source has, and so does a copy. */
const WHOLE_LAYERS = 'default: {immutable: true}\nchunked: false\n'

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  Object.assign(world.images, { 'app:v1': app, 'arm:v1': arm, 'multi:v1': both, 'multi:v2': both })
  await bucket.put('s3lo.yaml', Buffer.from(WHOLE_LAYERS))
})

async function versions(backend: MemoryBackend): Promise<readonly string[]> {
  const found = await Array.fromAsync(backend.list(''))
  return found.map(({ key, etag }) => `${key} ${etag}`)
}

describe('the same image again under an immutable tag', () => {
  it.each<[string, (world: MemoryWorld) => Promise<{ readonly digest: string }>]>([
    ['pushed', ({ host }) => host.push('fix:app:v1', 'mem://b/app:v1')],
    ['copied', ({ host }) => host.copy('fix:app:v1', 'mem://b/app:v1')],
    ['copied onto itself', ({ host }) => host.copy('mem://b/app:v1', 'mem://b/app:v1')],
    ['copied by another name', ({ host }) => host.copy('mem://b/same:v1', 'mem://b/app:v1')],
  ])('is a success that changes nothing when it is %s', async (_, repeat) => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    await world.host.push('fix:app:v1', 'mem://b/same:v1')
    const before = await versions(bucket)
    expect(await repeat(world)).toMatchObject({ digest: app.root.descriptor.digest })
    expect(await versions(bucket)).toEqual(before)
  })

  it('is a success that changes nothing when it is pushed with layers that the store compresses', async () => {
    await bucket.put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
    const { digest } = await world.host.push('fix:app:v1', 'mem://b/app:v1')
    expect(digest).not.toBe(app.root.descriptor.digest)
    const before = await versions(bucket)
    const again = await world.host.push('fix:app:v1', 'mem://b/app:v1')
    expect(again).toMatchObject({ digest, blobs_uploaded: 0 })
    expect(await versions(bucket)).toEqual(before)
  })

  it('is a success in a copy of one platform of it', async () => {
    const options = { platforms: ['linux/arm64'] }
    await world.host.copy('fix:multi:v1', 'mem://b/app:v1', options)
    const before = await versions(bucket)
    await world.host.copy('fix:multi:v1', 'mem://b/app:v1', options)
    expect(await versions(bucket)).toEqual(before)
  })

  it('is unchanged in a copy of all tags, also of some platforms', async () => {
    const options = { platforms: ['linux/arm64'] }
    await world.host.copy('fix:multi:v1', 'mem://b/from:v1')
    await world.host.copy('fix:multi:v1', 'mem://b/from:v2')
    await world.host.copyTags('mem://b/from', 'mem://b/to', options)
    const before = await versions(bucket)
    const again = await world.host.copyTags('mem://b/from', 'mem://b/to', options)
    expect(again).toMatchObject({ tags_unchanged: 2, tags_copied: 0, tags_failed: 0 })
    expect(await versions(bucket)).toEqual(before)
  })

  it('brings back a blob that is missing', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const [blob] = await Array.fromAsync(bucket.list('blobs/'))
    await bucket.delete([blob!.key])
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    expect(await bucket.head(blob!.key)).toBeDefined()
  })

  it('is a success for both of two equal writers, where the store decides and where it does not', async () => {
    for (const createOnly of [true, false]) {
      const inner = new MemoryBackend({ guarantees: { createOnly } })
      await inner.put('s3lo.yaml', Buffer.from(WHOLE_LAYERS))
      const source = new FixtureSource({ 'app:v1': app })
      const reference = { scheme: 'mem', bucket: 'b', name: 'app', image: 'app', tag: 'v1' }
      const publish = (backend: ConstructorParameters<typeof ImageStore>[0]) =>
        push({ source, reference }, new ImageStore(backend), reference)
      let isFirst = true
      const raced = new FaultyBackend(inner, {
        before: async ({ method, key }) => {
          if (!isFirst || method !== 'put' || key !== 'manifests/app/v1/manifest.json') return
          isFirst = false
          await publish(inner)
        },
      })
      expect(await publish(raced)).toMatchObject({ digest: app.root.descriptor.digest })
      expect(isFirst).toBe(false)
    }
  })

  it('is refused as another image is, by a dry run too, and force records it', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const before = await versions(bucket)
    for (const dryRun of [true, false]) {
      const copied = world.host.copy('fix:arm:v1', 'mem://b/app:v1', { dryRun })
      await expect(copied).rejects.toMatchObject({ code: 'CONFLICT' })
    }
    await world.host.copy('fix:app:v1', 'mem://b/app:v1', { dryRun: true })
    expect(await versions(bucket)).toEqual(before)
  })
})
