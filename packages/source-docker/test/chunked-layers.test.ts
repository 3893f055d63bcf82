import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { digestOf, ImageStore, parseManifest, type StreamingTarget } from '@s3lo/core'
import { MemoryBackend, putChunkedImage, TAR_END, tarFile } from '@s3lo/core/testing'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import * as dockerArchive from '../src/docker-archive.ts'
import { readImage } from './read-image.ts'

const options = { env: {} }
const app = { name: 'app', tag: 'v1' }
const layers = [
  Buffer.concat([tarFile('large', randomBytes(3000)), TAR_END]),
  Buffer.concat([tarFile('small', 'hello'), TAR_END]),
]

let folder: string
let backend: MemoryBackend

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-chunked-'))
  backend = new MemoryBackend()
})

afterEach(() => rm(folder, { recursive: true }))

/** Writes the stored image to an archive, and returns the digests of the archive's layers. */
async function pull(): Promise<readonly string[]> {
  const store = new ImageStore(backend)
  const path = join(folder, 'image.tar')
  const { target, reference } = await dockerArchive.openTarget(`${path}:app:v1`, options)
  await (target as StreamingTarget).receive(await store.read(app), store, reference)
  const { root } = await readImage(await dockerArchive.openSource(path, options))
  const manifest = parseManifest(root.content, 'test')
  return manifest.kind === 'manifest' ? manifest.layers.map(({ digest }) => digest) : []
}

it.each([1, 2] as const)(
  'a docker archive gets the uncompressed content of layers in chunks of format %d',
  async (format) => {
    await putChunkedImage(backend, app, { layers, chunkSize: 1000, format })
    expect(await pull()).toEqual(layers.map((layer) => digestOf(layer)))
  },
)

it('a recipe whose digest is a path (W3) writes nothing', async () => {
  await putChunkedImage(backend, app, { layers, chunkSize: 1000 })
  for await (const { key } of backend.list('recipes/')) {
    const recipe = await text((await backend.get(key)).body)
    const hostile = recipe.replace(/"layer":"\w+"/, '"layer":"../../../evil"')
    await backend.put(key, Buffer.from(hostile))
  }
  await expect(pull()).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(await readdir(folder)).toEqual([])
})

it('a layer of which another encoder had stored chunks is pulled all the same (W17)', async () => {
  const encode = (raw: Uint8Array): Uint8Array =>
    zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 0 } })
  await putChunkedImage(backend, app, { layers, chunkSize: 1000, encode })
  await putChunkedImage(backend, app, { layers, chunkSize: 1000 })
  expect(await pull()).toEqual(layers.map((layer) => digestOf(layer)))
})

it('a recipe of content that the config does not name gives the blob itself', async () => {
  const root = await putChunkedImage(backend, app, { layers, chunkSize: 1000 })
  const manifest = parseManifest(root.content, root.descriptor.digest)
  const [layer] = manifest.kind === 'manifest' ? manifest.layers : []
  const forged = Buffer.concat([tarFile('forged', 'evil'), TAR_END])
  const other = await putChunkedImage(
    backend,
    { name: 'other', tag: 'v1' },
    { layers: [forged], chunkSize: 1000 },
  )
  const otherManifest = parseManifest(other.content, other.descriptor.digest)
  const [evil] = otherManifest.kind === 'manifest' ? otherManifest.layers : []
  const recipe = await backend.get(`recipes/sha256/${evil?.digest.slice(7)}`)
  const document = JSON.parse(await text(recipe.body)) as { chunks: { compressedSize: number }[] }
  // As long as the layer whose place it takes.
  document.chunks[0]!.compressedSize += (layer?.size ?? 0) - (evil?.size ?? 0)
  await backend.put(
    `recipes/sha256/${layer?.digest.slice(7)}`,
    Buffer.from(JSON.stringify(document)),
  )
  await expect(pull()).rejects.toMatchObject({ code: 'INTEGRITY' })
})
