import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { beforeEach, expect, it } from 'vitest'
import { parseManifest } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { type MemoryBackend, putChunkedImage, TAR_END, tarFile } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const large = randomBytes(5000)
const tar = Buffer.concat([tarFile('etc/hello', 'hello'), tarFile('usr/large', large), TAR_END])

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  await putChunkedImage(bucket, { name: 'app', tag: 'v1' }, { layers: [tar], chunkSize: 1024 })
})

it('are copied to another store as whole blobs of the same digest', async () => {
  await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
  const store = new ImageStore(world.bucket('c'))
  const { content, descriptor } = await store.read({ name: 'app', tag: 'v1' })
  const manifest = parseManifest(content, descriptor.digest)
  const [layer] = manifest.kind === 'manifest' ? manifest.layers : []
  expect(layer && (await store.blobs.form(layer.digest))).toBe('whole')
  expect(layer && (await buffer(await store.fetch(layer))).length).toBe(layer?.size)
})

it('are read by cat and files', async () => {
  const files = await world.host.files('mem://b/app:v1', '/usr')
  expect(files.map(({ path, size }) => ({ path, size }))).toEqual([
    { path: '/usr/large', size: 5000 },
  ])
})

it('are counted by stats and shown by inspect', async () => {
  const chunks = Math.ceil(tar.length / 1024)
  expect(await world.host.stats('mem://b')).toMatchObject({ chunks })
  const { layers } = await world.host.inspect('mem://b/app:v1')
  expect(layers).toMatchObject([{ stored_as: 'chunks' }])
})
