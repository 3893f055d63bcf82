import { randomBytes } from 'node:crypto'
import { buffer, text } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { rawChunkPrefix } from '../../src/layout/chunk-keys.ts'
import { blobKey, chunkKey, recipeKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  type MemoryBackend,
  putChunkedImage,
  TAR_END,
  tarFile,
  tarHeader,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const CHUNK = 1024
const app = { name: 'app', tag: 'v1' }
const large = randomBytes(5000)
const tar = Buffer.concat([
  tarFile('etc/hello', 'hello'),
  tarFile('usr/bin/tool', 'first'),
  tarHeader('bin', { type: '2', link: 'usr/bin' }),
  tarHeader('usr/bin/alias', { type: '1', link: 'usr/bin/tool' }),
  tarFile('usr/large', large),
  tarFile('usr/bin/tool', 'second'),
  TAR_END,
])
/** The first chunk that the large file alone is in. */
const inside = tar.subarray(4 * CHUNK, 5 * CHUNK)

let world: MemoryWorld
let bucket: MemoryBackend

/** As another version of the Go program makes it: another stream, which decodes to the same. */
function encodeOtherwise(raw: Uint8Array): Uint8Array {
  return zstdCompressSync(raw, { params: { [constants.ZSTD_c_compressionLevel]: 9 } })
}

beforeEach(() => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
})

describe.each([1, 2] as const)('layers in chunks of format %d', (format) => {
  beforeEach(async () => {
    await putChunkedImage(bucket, app, { layers: [tar], chunkSize: CHUNK, format })
  })

  it('are copied to another store as blobs of the same digest', async () => {
    const copied = await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    const store = new ImageStore(world.bucket('c'))
    const { content, descriptor } = await store.read(app)
    expect(descriptor.digest).toBe(copied.digest)
    const manifest = parseManifest(content, descriptor.digest)
    const [layer] = manifest.kind === 'manifest' ? manifest.layers : []
    expect(layer && (await buffer(await store.fetch(layer))).length).toBe(layer?.size)
  })

  it.each<[string, string, (key: string) => Promise<unknown>]>([
    ['is gone', 'NOT_FOUND', (key) => bucket.delete([key])],
    ['has other content', 'INTEGRITY', (key) => bucket.put(key, encodeOtherwise(Buffer.alloc(9)))],
  ])(
    'are not copied when one %s (W25): no tag and no blob of theirs is there',
    async (_, code, spoil) => {
      await spoil(await keyOf(inside))
      const copying = world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
      await expect(copying).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`chunk ${digestOf(inside)} of layer `),
      })
      const keys: string[] = []
      for await (const { key } of world.bucket('c').list('')) keys.push(key)
      expect(keys.filter((key) => key.startsWith('manifests/'))).toEqual([])
      const [layer] = await layersOf(bucket)
      expect(keys).not.toContain(blobKey(layer!.digest))
    },
  )

  it('are listed, and their files read', async () => {
    const files = await world.host.files('mem://b/app:v1', '/usr/large')
    expect(files.map(({ path, size }) => ({ path, size }))).toEqual([
      { path: '/usr/large', size: 5000 },
    ])
    expect(await cat('/usr/large')).toEqual(large)
  })

  it('are looked into as a container would see them (W13)', async () => {
    // A symlink on the way, the last of two files of one name, a hard link to the first of them.
    for (const [path, expected] of [
      ['/bin/tool', 'second'],
      ['/usr/bin/tool', 'second'],
      ['/bin/../bin//tool', 'second'],
      ['/usr/bin/alias', 'first'],
    ] as const) {
      expect((await cat(path)).toString(), path).toBe(expected)
    }
  })

  it('are shown by inspect', async () => {
    const { layers } = await world.host.inspect('mem://b/app:v1')
    expect(layers).toMatchObject([{ stored_as: 'chunks' }])
  })

  async function keyOf(raw: Uint8Array): Promise<string> {
    const digest = digestOf(raw)
    if (format === 1) return chunkKey(digest)
    for await (const { key } of bucket.list(rawChunkPrefix(digest))) return key
    throw new Error('the fixture has no such chunk')
  }
})

describe('a layer whose stream has another digest than its recipe claims (W17)', () => {
  beforeEach(async () => {
    const options = { layers: [tar], chunkSize: CHUNK }
    const before = { name: 'before', tag: 'v1' }
    await putChunkedImage(bucket, before, { ...options, encode: encodeOtherwise })
    await putChunkedImage(bucket, app, options)
  })

  it('is looked into, because its content is right', async () => {
    expect(await cat('/usr/large')).toEqual(large)
  })

  it('is not copied', async () => {
    await expect(world.host.copy('mem://b/app:v1', 'mem://c/app:v1')).rejects.toMatchObject({
      code: 'INTEGRITY',
      hint: expect.stringContaining('another encoder'),
    })
  })
})

it('a recipe of content that the config does not name gives the blob itself', async () => {
  await putChunkedImage(bucket, app, { layers: [tar], chunkSize: CHUNK })
  const [layer] = await layersOf(bucket)
  const key = recipeKey(layer!.digest)
  const recipe = await text((await bucket.get(key)).body)
  const claimed = digestOf(Buffer.from('something else')).slice('sha256:'.length)
  await bucket.put(key, Buffer.from(recipe.replace(/"layer":"\w+"/, `"layer":"${claimed}"`)))
  expect(await cat('/usr/large')).toEqual(large)
})

it('chunks of the Go program are counted by stats', async () => {
  await putChunkedImage(bucket, app, { layers: [tar], chunkSize: CHUNK })
  const chunks = Math.ceil(tar.length / CHUNK)
  expect(await world.host.stats('mem://b')).toMatchObject({ chunks })
})

async function cat(path: string): Promise<Buffer> {
  const parts: Uint8Array[] = []
  await world.host.cat('mem://b/app:v1', path, async (content) => {
    for await (const part of content) parts.push(part)
  })
  return Buffer.concat(parts)
}

async function layersOf(backend: MemoryBackend) {
  const { content } = await new ImageStore(backend).read(app)
  const manifest = parseManifest(content, 'app')
  return manifest.kind === 'manifest' ? manifest.layers : []
}
