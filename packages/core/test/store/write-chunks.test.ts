import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HashThread } from '../../src/chunk/hash-thread.ts'
import {
  CHUNK_FRAMES_PREFIX,
  chunkFrameKey,
  chunkRecipeKey,
  layerTableKey,
  rawChunkPrefix,
} from '../../src/layout/chunk-keys.ts'
import type { Frame, OpenFrameCache } from '../../src/chunk/encode-layer.ts'
import { Protection } from '../../src/gc/protection.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { BlobStore } from '../../src/store/blobs.ts'
import { lookIn } from '../../src/store/content-look.ts'
import { ChunkWriter, type WrittenLayer } from '../../src/store/write-chunks.ts'
import { MemoryBackend, TAR_END, tarFile } from '../../src/testing/index.ts'

const MIB = 1024 * 1024
/** Cut at 16 MiB: no byte of it ends a chunk. */
const LAYER = Buffer.concat([Buffer.alloc(16 * MIB, 'a'), Buffer.alloc(MIB, 'b')])

let backend: MemoryBackend
let blobs: BlobStore
beforeEach(() => {
  backend = new MemoryBackend()
  blobs = new BlobStore(backend)
})

const writer = (frames?: OpenFrameCache): ChunkWriter =>
  new ChunkWriter(
    backend,
    new Protection(
      backend,
      lookIn(backend, blobs, () => Promise.resolve(true)),
    ),
    frames,
  )

const write = (content: Uint8Array = LAYER): Promise<WrittenLayer> =>
  writer().write(Readable.from([content]))

const descriptorOf = ({ recipe: { layer } }: WrittenLayer) => ({
  mediaType: MEDIA_TYPE.ociLayerZstd,
  ...layer,
})

const datesOf = async ({ recipe }: WrittenLayer): Promise<unknown[]> =>
  Promise.all(
    recipe.chunks.map(async (chunk) => (await backend.head(chunkFrameKey(chunk)))?.lastModified),
  )

describe('a layer that was stored in chunks', () => {
  it('is its frames as a blob, and its content without them', async () => {
    const written = await write()
    const descriptor = descriptorOf(written)
    expect(written.sent.chunks).toBe(2)
    expect(written.sent.bytes).toBe(descriptor.size)
    const blob = await buffer(await blobs.open(descriptor))
    expect(digestOf(blob)).toBe(descriptor.digest)
    expect(await blobs.form(descriptor.digest)).toBe('chunks')
    expect(await blobs.find(descriptor.digest)).toEqual({ size: descriptor.size })
    const range = { start: 3, end: descriptor.size - 2 }
    const part = await buffer(await blobs.open(descriptor, { range }))
    expect(part.equals(blob.subarray(3, -2))).toBe(true)
    const plain = await blobs.plainLayer(descriptor)
    expect([plain?.digest, plain?.size]).toEqual([digestOf(LAYER), LAYER.length])
    expect((await buffer((await plain?.open())!)).equals(LAYER)).toBe(true)
    const across = { start: 16 * MIB - 2, end: 16 * MIB + 2 }
    expect(await buffer((await plain?.open({ range: across }))!)).toEqual(Buffer.from('aabb'))
  })

  it('is stored again without a chunk', async () => {
    const first = await write()
    const dates = await datesOf(first)
    expect((await write()).sent).toEqual({ chunks: 0, bytes: 0 })
    const changed = await write(Buffer.concat([LAYER, Buffer.from('c')]))
    expect(changed.sent.chunks).toBe(1)
    expect(changed.recipe.chunks[0]).toEqual(first.recipe.chunks[0])
    expect(await datesOf(first)).toEqual(dates)
  })

  it('asks for no chunk that its caller knows', async () => {
    const { recipe } = await write()
    const listed: string[] = []
    const list = backend.list.bind(backend)
    backend.list = (prefix, ...rest) => {
      listed.push(prefix)
      return list(prefix, ...rest)
    }
    const knowing = writer()
    for (const chunk of recipe.chunks) knowing.know(chunk)
    await knowing.write(Readable.from([LAYER]))
    expect(listed).not.toContain(CHUNK_FRAMES_PREFIX)
    const changed = Buffer.concat([LAYER, Buffer.from('c')])
    const written = await knowing.write(Readable.from([changed]))
    const [first] = written.recipe.chunks
    expect([written.sent.chunks, first]).toEqual([1, recipe.chunks[0]])
    // A small store is listed once, and no chunk that it lacks is looked for.
    expect(listed.filter((prefix) => prefix.startsWith(CHUNK_FRAMES_PREFIX))).toEqual([
      CHUNK_FRAMES_PREFIX,
    ])
    // Of another encoder: what is stored counts.
    const other = writer()
    for (const chunk of recipe.chunks) other.know({ ...chunk, frame: chunk.raw })
    expect((await other.write(Readable.from([LAYER]))).recipe).toEqual(recipe)
    expect(listed).toContain(rawChunkPrefix(recipe.chunks[0]!.raw))
  })

  it('is made of the frames that were made before, and of new ones, which are kept', async () => {
    const kept = new Map<string, Frame>()
    const frames = {
      has: (raw: string) => kept.has(raw),
      get: async (raw: string) => kept.get(raw),
      put: async (raw: string, rawBytes: number, frame: Frame) => {
        expect(rawBytes).toBeGreaterThan(frame.bytes.length)
        kept.set(raw, frame)
      },
    }
    const { recipe } = await writer(async () => frames).write(Readable.from([LAYER]))
    expect(recipe.chunks.map(({ raw }) => kept.get(raw)?.digest)).toEqual(
      recipe.chunks.map(({ frame }) => frame),
    )
    const bytes = zstdCompressSync(LAYER.subarray(0, 16 * MIB))
    const own = { bytes, digest: digestOf(bytes) }
    kept.set(recipe.chunks[0]!.raw, own)
    backend = new MemoryBackend()
    const written = await writer(async () => frames).write(Readable.from([LAYER]))
    expect(written.recipe.chunks[0]?.frame).toBe(own.digest)
    expect(written.recipe.chunks[1]).toEqual(recipe.chunks[1])
  })

  it('is the same where a thread hashes, with its table', async () => {
    const tar = Buffer.concat([tarFile('a', LAYER), tarFile('b', 'b'), TAR_END])
    const { recipe } = await write(tar)
    const key = layerTableKey(recipe.layer.digest)
    const table = await buffer((await backend.get(key)).body)
    backend = new MemoryBackend()
    blobs = new BlobStore(backend)
    const said = { size: 1024 * MIB }
    const kept = { has: () => true, get: async () => undefined, put: async () => undefined }
    const threaded = (): ChunkWriter => {
      const made = writer(async () => kept)
      made.know({ raw: digestOf(LAYER), size: 1, frame: digestOf(LAYER), frameSize: 1 })
      return made
    }
    const hash = vi.spyOn(HashThread.prototype, 'hash')
    expect((await threaded().write(Readable.from([tar]), said)).recipe).toEqual(recipe)
    expect(hash).toHaveBeenCalledTimes(recipe.chunks.length)
    hash.mockRestore()
    expect(await buffer((await backend.get(key)).body)).toEqual(table)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield tar
      throw new Error('the engine has gone')
    }
    await expect(threaded().write(broken(), said)).rejects.toThrow('the engine has gone')
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(threaded().write(broken(), { ...said, signal })).rejects.toThrow('stop')
  })

  it('uses the frame of another encoder, and its digest is that of what is stored', async () => {
    const first = LAYER.subarray(0, 16 * MIB)
    const frame = zstdCompressSync(first, { params: { [constants.ZSTD_c_compressionLevel]: 9 } })
    const name = { raw: digestOf(first), frame: digestOf(frame) }
    await backend.put(chunkFrameKey(name), frame)
    const written = await write()
    expect(written.sent.chunks).toBe(1)
    expect(written.recipe.chunks[0]).toMatchObject(name)
    const blob = await buffer(await blobs.open(descriptorOf(written)))
    expect(blob.subarray(0, frame.length).equals(frame)).toBe(true)
  })

  it.each([
    ['is torn', (frame: Buffer) => frame.subarray(0, 9)],
    ['is none', () => Buffer.from('no frame')],
  ])('does without a frame that %s', async (_, spoil) => {
    const sound = await write()
    const [chunk] = sound.recipe.chunks
    const key = chunkFrameKey(chunk!)
    const { body } = await backend.get(key)
    await backend.put(key, spoil(await buffer(body)))
    const again = await write()
    expect([again.sent.chunks, again.recipe]).toEqual([1, sound.recipe])
    expect((await buffer(await blobs.open(descriptorOf(again)))).length).toBe(
      again.recipe.layer.size,
    )
  })
})

describe('a frame that is not what its name says', () => {
  it('is damage, of the blob and of the content', async () => {
    const written = await write()
    const [chunk] = written.recipe.chunks
    const other = zstdCompressSync(LAYER.subarray(0, 16 * MIB))
    await backend.put(chunkFrameKey(chunk!), other)
    const descriptor = descriptorOf(written)
    await expect(blobs.open(descriptor).then(buffer)).rejects.toMatchObject({ code: 'INTEGRITY' })
    const plain = await blobs.plainLayer(descriptor)
    const reading = plain!.open().then(buffer)
    await expect(reading).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('is missing where nothing has its name', async () => {
    const written = await write()
    const [chunk] = written.recipe.chunks
    await backend.delete([chunkFrameKey(chunk!)])
    const descriptor = descriptorOf(written)
    await expect(blobs.open(descriptor).then(buffer)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

it('two writers at once store each chunk once, and the same recipe', async () => {
  const [one, other] = await Promise.all([write(), write()])
  expect(one.recipe).toEqual(other.recipe)
  expect(one.sent.chunks + other.sent.chunks).toBe(2)
})

it('chunks are there before the recipe that names them', async () => {
  const order: string[] = []
  const put = backend.put.bind(backend)
  backend.put = async (key, ...rest) => {
    order.push(key)
    return put(key, ...rest)
  }
  const { recipe } = await write()
  expect(order.at(-1)).toBe(chunkRecipeKey(recipe.layer.digest))
  const chunks = order.filter((key) => key.startsWith(CHUNK_FRAMES_PREFIX))
  expect(chunks.toSorted()).toEqual(recipe.chunks.map(chunkFrameKey).toSorted())
})
