import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { parseRecipe } from '../../src/store/recipe.ts'
import { rawChunkPrefix } from '../../src/layout/chunk-keys.ts'
import { blobKey, chunkKey, recipeKey } from '../../src/layout/keys.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/document.ts'

import { ImageStore } from '../../src/store/image-store.ts'
import { decompress } from '../../src/stream/decompress.ts'
import { MemoryBackend, putChunkedImage } from '../../src/testing/index.ts'

const CHUNK = 1000
/** The first chunk comes twice, and the last one is short. */
const repeated = Buffer.alloc(CHUNK, 'a')
const layer = Buffer.concat([repeated, randomBytes(CHUNK), repeated, randomBytes(CHUNK / 2)])

let backend: MemoryBackend
let store: ImageStore
let blob: Descriptor

beforeEach(async () => {
  backend = new MemoryBackend()
  store = new ImageStore(backend)
  blob = await putLayer()
})

async function putLayer(
  options: Partial<Parameters<typeof putChunkedImage>[2]> = {},
): Promise<Descriptor> {
  const reference = { name: 'app', tag: 'v1' }
  const root = await putChunkedImage(backend, reference, {
    layers: [layer],
    chunkSize: CHUNK,
    ...options,
  })
  const manifest = parseManifest(root.content, root.descriptor.digest)
  const [first] = manifest.kind === 'manifest' ? manifest.layers : []
  if (!first) throw new Error('the fixture has no layer')
  return first
}

/** An encoder whose frames are others, and decode to the same. */
function encodeOtherwise(raw: Uint8Array): Uint8Array {
  return zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 0 } })
}

async function readPlain(descriptor: Descriptor): Promise<Buffer> {
  const plain = await store.plainLayer(descriptor)
  if (!plain) throw new Error('expected plain content')
  return buffer(await plain.open())
}

describe('a blob that is stored in chunks', () => {
  it('is read as the stream that its digest is of', async () => {
    const bytes = await buffer(await store.fetch(blob))
    expect(digestOf(bytes)).toBe(blob.digest)
    const plain = decompress(Readable.from([bytes], { objectMode: false }), 'zstd', 'the layer')
    expect((await buffer(plain)).equals(layer)).toBe(true)
  })

  it('is read in every range', async () => {
    const whole = await buffer(await store.fetch(blob))
    for (let start = 0; start < whole.length; start += 137) {
      for (const end of [start + 1, start + CHUNK, whole.length, undefined]) {
        const part = await buffer(await store.fetch(blob, { range: { start, end } }))
        expect(part).toEqual(whole.subarray(start, end))
      }
    }
  })

  it('gives its uncompressed content, whole and in ranges', async () => {
    const plain = await store.plainLayer(blob)
    expect(plain).toMatchObject({ digest: digestOf(layer), size: layer.length })
    expect(await readPlain(blob)).toEqual(layer)
    const part = await plain?.open({ range: { start: 900, end: 2100 } })
    expect(part && (await buffer(part))).toEqual(layer.subarray(900, 2100))
  })

  it('has no uncompressed content once it is stored whole', async () => {
    await store.blobs.put(blob, await store.fetch(blob))
    expect(await store.plainLayer(blob)).toBeUndefined()
    expect(digestOf(await buffer(await store.fetch(blob)))).toBe(blob.digest)
  })

  it('is read whole, and not in ranges, by a recipe that has no sizes of frames', async () => {
    backend = new MemoryBackend()
    store = new ImageStore(backend)
    blob = await putLayer({ early: true })
    expect(digestOf(await buffer(await store.fetch(blob)))).toBe(blob.digest)
    expect(await readPlain(blob)).toEqual(layer)
    const body = await store.fetch(blob, { range: { start: 5 } })
    await expect(buffer(body)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('stops reading when it is destroyed', async () => {
    const body = await store.fetch(blob)
    body.destroy()
    await expect(buffer(body)).rejects.toThrow()
  })

  it('ends with the reason of its signal', async () => {
    const reason = new Error('enough')
    const stop = new AbortController()
    const body = await store.fetch(blob, { signal: stop.signal })
    stop.abort(reason)
    await expect(buffer(body)).rejects.toThrow(reason)
  })
})

describe('a layer whose chunk another encoder had stored before (W17)', () => {
  beforeEach(async () => {
    backend = new MemoryBackend()
    store = new ImageStore(backend)
    await putLayer({ encode: encodeOtherwise })
    blob = await putLayer()
  })

  it('is never given under a digest that the stored stream does not have', async () => {
    await expect(buffer(await store.fetch(blob))).rejects.toMatchObject({
      code: 'INTEGRITY',
      hint: expect.stringContaining('another encoder'),
    })
  })

  it('gives its uncompressed content', async () => {
    expect(await readPlain(blob)).toEqual(layer)
  })
})

it('a layer whose frames are right and are no stream of its digest (W17) is not given', async () => {
  const named = digestOf(Buffer.from('what another encoder would have made'))
  await backend.put(recipeKey(named), await bytesAt(recipeKey(blob.digest)))
  const body = await store.fetch({ ...blob, digest: named })
  await expect(buffer(body)).rejects.toMatchObject({
    code: 'INTEGRITY',
    message: expect.stringContaining(`expected ${named}`),
    hint: expect.stringContaining('another encoder'),
  })
  expect(await readPlain({ ...blob, digest: named })).toEqual(layer)
})

describe.each([1, 2] as const)('a damaged chunk of format %d', (format) => {
  let key: string

  beforeEach(async () => {
    backend = new MemoryBackend()
    store = new ImageStore(backend)
    blob = await putLayer({ format })
    key = await keyOf(repeated)
  })

  it.each<[string, string, () => Promise<unknown>]>([
    ['that is gone', 'NOT_FOUND', () => backend.delete([key])],
    ['that is cut', 'INTEGRITY', async () => backend.put(key, (await bytesAt(key)).subarray(1))],
    ['that is no frame', 'INTEGRITY', () => backend.put(key, Buffer.from('no frame'))],
    ['that is another one', 'INTEGRITY', async () => backend.put(key, await otherChunk())],
    ['with a wrong bit', 'INTEGRITY', async () => backend.put(key, flipped(await bytesAt(key)))],
    ['that expands', 'INTEGRITY', () => backend.put(key, zstdCompressSync(Buffer.alloc(1e6)))],
    ['that is huge', 'INTEGRITY', () => backend.put(key, Buffer.alloc(20 * 1024 * 1024))],
  ])('%s fails every read of it with %s, which names layer and chunk', async (_, code, spoil) => {
    await spoil()
    const named = { code, message: expect.stringMatching(namesBoth()) }
    await expect(buffer(await store.fetch(blob))).rejects.toMatchObject(named)
    await expect(readPlain(blob)).rejects.toMatchObject(named)
    const range = { start: 3, end: 9 }
    await expect(buffer(await store.fetch(blob, { range }))).rejects.toMatchObject(named)
    const plain = await store.plainLayer(blob)
    await expect(plain?.open({ range }).then(buffer)).rejects.toMatchObject(named)
  })

  function namesBoth(): RegExp {
    return new RegExp(`chunk ${digestOf(repeated)} of layer ${blob.digest}`)
  }

  async function otherChunk(): Promise<Buffer> {
    return bytesAt(await keyOf(layer.subarray(CHUNK, 2 * CHUNK)))
  }

  function flipped(bytes: Buffer): Buffer {
    const at = Math.floor(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    return bytes
  }

  async function keyOf(raw: Uint8Array): Promise<string> {
    const digest = digestOf(raw)
    if (format === 1) return chunkKey(digest)
    for await (const { key: found } of backend.list(rawChunkPrefix(digest))) return found
    throw new Error('the fixture has no such chunk')
  }
})

describe('the recipe of a layer that is read in ranges', () => {
  it('is read once', async () => {
    const keys = watchReads()
    for (const start of [0, 5, 10]) {
      await buffer(await store.fetch(blob, { range: { start, end: start + 5 } }))
    }
    expect(keys.filter((key) => key === recipeKey(blob.digest))).toHaveLength(1)
  })

  it('is forgotten when what it names is gone', async () => {
    const whole = await buffer(await store.fetch(blob))
    const range = { start: 0, end: 5 }
    await buffer(await store.fetch(blob, { range }))
    await backend.put(blobKey(blob.digest), whole)
    for await (const { key } of backend.list('chunks/')) await backend.delete([key])
    const failed = store.fetch(blob, { range }).then(buffer)
    await expect(failed).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await buffer(await store.fetch(blob, { range }))).toEqual(whole.subarray(0, 5))
  })

  it('is compared with the size that is asked for each time', async () => {
    const range = { start: 0, end: 5 }
    await buffer(await store.fetch(blob, { range }))
    const other = { ...blob, size: blob.size + 1 }
    await expect(store.fetch(other, { range })).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  function watchReads(): readonly string[] {
    const keys: string[] = []
    const get = backend.get.bind(backend)
    backend.get = (key, ...rest) => {
      keys.push(key)
      return get(key, ...rest)
    }
    return keys
  }
})

async function bytesAt(name: string): Promise<Buffer> {
  return buffer((await backend.get(name)).body)
}

describe('a hostile recipe', () => {
  const chunk = { digest: 'a'.repeat(64), size: 1, compressedSize: 10 }
  const good = { layer: 'b'.repeat(64), size: 2, chunks: [chunk, chunk] }

  it('is read when its members agree', () => {
    expect(parseRecipe(encode(good), 'r')).toMatchObject({ content: { size: 2 } })
  })

  it.each<[string, object]>([
    ['no list', { ...good, chunks: undefined }],
    ['no digest of the layer', { ...good, layer: '../x' }],
    ['a size that is not the sum', { ...good, size: 3 }],
    ['a negative size', { ...good, chunks: [{ ...chunk, size: -1 }] }],
    ['an empty chunk', { ...good, size: 0, chunks: [{ ...chunk, size: 0 }] }],
    ['a chunk of 17 MiB', { ...good, size: 17 << 20, chunks: [{ ...chunk, size: 17 << 20 }] }],
    ['a frame of 17 MiB', { ...good, chunks: [chunk, { ...chunk, compressedSize: 17 << 20 }] }],
    ['a digest that is too short', { ...good, chunks: [chunk, { ...chunk, digest: 'abc' }] }],
    ['a chunk that is no digest', { ...good, chunks: [chunk, { ...chunk, digest: '../../x' }] }],
  ])('is refused with %s', (_, document) => {
    expect(() => parseRecipe(encode(document), 'r')).toThrow(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
  })

  it('is refused where it is of another length than the manifest says', async () => {
    await expect(store.fetch({ ...blob, size: blob.size + 1 })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  function encode(document: object): Uint8Array {
    return Buffer.from(JSON.stringify(document))
  }
})

it('names the key of a recipe as the Go program does', () => {
  expect(recipeKey(`sha256:${'a'.repeat(64)}`)).toBe(`recipes/sha256/${'a'.repeat(64)}`)
})
