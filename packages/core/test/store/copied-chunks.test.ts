import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  CHUNK_FRAMES_PREFIX,
  CHUNK_RECIPES_PREFIX,
  LAYER_TABLES_PREFIX,
} from '../../src/layout/chunk-keys.ts'
import { BLOBS_PREFIX, BUCKET_CONFIG_KEY, manifestKey } from '../../src/layout/keys.ts'
import { type ManifestDocument } from '../../src/oci/document.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  MemoryBackend,
  putChunkedImage,
  TAR_END,
  tarFile,
} from '../../src/testing/index.ts'
import { copy, type CopyResult } from '../../src/operations/copy.ts'

const CHUNK = 1000
const app = { name: 'app', tag: 'v1' }
const repeated = Buffer.alloc(CHUNK, 'a')
const layer = Buffer.concat([repeated, randomBytes(CHUNK), repeated, randomBytes(CHUNK / 2)])

let from: MemoryBackend
let inner: MemoryBackend
let to: FaultyBackend
let root: ManifestDocument

beforeEach(async () => {
  from = new MemoryBackend({ bucket: 'from' })
  inner = new MemoryBackend({ bucket: 'to' })
  to = new FaultyBackend(inner)
  root = await putChunkedImage(from, app, { layers: [layer], chunkSize: CHUNK, format: 2 })
})

const configure = (text: string): Promise<unknown> =>
  inner.put(BUCKET_CONFIG_KEY, Buffer.from(text))

const copyTo = (tag = 'v1', source = new ImageStore(from), dryRun = false): Promise<CopyResult> =>
  copy(
    { source, reference: app },
    { target: new ImageStore(to), reference: { ...app, tag } },
    { dryRun },
  )

const below = async (backend: MemoryBackend, prefix: string): Promise<readonly string[]> =>
  (await Array.fromAsync(backend.list(prefix))).map(({ key }) => key)

/** The layer's object, where it is stored whole. */
const wholeLayers = async (): Promise<readonly string[]> => {
  const { manifest } = root
  const hex = (manifest.kind === 'manifest' && manifest.layers[0]?.digest.slice(7)) || 'none'
  return (await below(inner, BLOBS_PREFIX)).filter((key) => key.endsWith(hex))
}

async function readCopy(tag = 'v1'): Promise<Buffer> {
  const store = new ImageStore(inner)
  const { manifest } = await store.read({ ...app, tag })
  const [first] = manifest.kind === 'manifest' ? manifest.layers : []
  const plain = first && (await store.plainLayer(first))
  if (!plain) throw new Error('the copy has no layer in chunks')
  return buffer(await plain.open())
}

describe.each(['', 'chunked: true\n', 'chunk_format: 2\n'])(
  'a copy into a store with %j',
  (config) => {
    beforeEach(() => configure(config))

    it('moves chunks as they are, the recipe after them and the tag last', async () => {
      await copyTo()
      expect(await below(inner, CHUNK_FRAMES_PREFIX)).toEqual(
        await below(from, CHUNK_FRAMES_PREFIX),
      )
      expect(await wholeLayers()).toEqual([])
      expect(await readCopy()).toEqual(layer)
      expect((await new ImageStore(inner).config()).chunkFormat).toBe(2)
      const written = to.calls.filter(({ method }) => method === 'put').map(({ key }) => key)
      const order = written.filter((key) => /chunks|recipes|manifest\.json/.test(key))
      expect(order.slice(0, -2).every((key) => key.startsWith(CHUNK_FRAMES_PREFIX))).toBe(true)
      expect(order.at(-2)).toContain(CHUNK_RECIPES_PREFIX)
      expect(order.at(-1)).toBe(manifestKey(app))
    })

    it('makes the table of the layer of what it holds, and of nothing that the other store says', async () => {
      const tar = Buffer.concat([tarFile('a', randomBytes(2 * CHUNK)), TAR_END])
      root = await putChunkedImage(from, app, { layers: [tar], chunkSize: CHUNK, format: 2 })
      const [key] = await below(from, LAYER_TABLES_PREFIX)
      const { body } = await from.get(key!)
      const right = await buffer(body)
      await from.put(key!, Buffer.from('a lie'))
      await copyTo()
      expect(await buffer((await inner.get(key!)).body)).toEqual(right)
      const written = to.calls.filter(({ method }) => method === 'put').map((call) => call.key)
      expect(written.findIndex((each) => each.startsWith(CHUNK_RECIPES_PREFIX))).toBe(
        written.indexOf(key!) + 1,
      )
    })

    it('makes no table of a layer that is no tar', async () => {
      await copyTo()
      expect(await below(inner, LAYER_TABLES_PREFIX)).toEqual([])
    })

    it('moves no chunk that is there, and no layer that is whole in its parts', async () => {
      await copyTo()
      const before = to.calls.length
      await copyTo('v2')
      const later = to.calls.slice(before).filter(({ method }) => method === 'put')
      expect(later.filter(({ key }) => /chunks|recipes|blobs/.test(key))).toEqual([])
      expect(await readCopy('v2')).toEqual(layer)
    })

    it('moves the chunk that is missing or torn there', async () => {
      await copyTo()
      const [first, second] = await below(inner, CHUNK_FRAMES_PREFIX)
      await inner.delete([first!])
      await inner.put(second!, Buffer.from('torn'))
      await copyTo('v2')
      expect(await readCopy('v2')).toEqual(layer)
    })

    it.each<[string, string, (key: string) => Promise<unknown>]>([
      ['is gone', 'NOT_FOUND', (key) => from.delete([key])],
      ['has other bytes (W25)', 'INTEGRITY', (key) => from.put(key, zstdCompressSync('other'))],
    ])('publishes nothing when a chunk of the source %s', async (_, code, spoil) => {
      for (const key of await below(from, CHUNK_FRAMES_PREFIX)) await spoil(key)
      await expect(copyTo()).rejects.toMatchObject({
        code,
        message: expect.stringMatching(/chunk sha256:\w+ of layer sha256:\w+/),
      })
      expect(await below(inner, 'manifests/')).toEqual([])
      expect(await below(inner, CHUNK_FRAMES_PREFIX)).toEqual([])
      expect(await below(inner, CHUNK_RECIPES_PREFIX)).toEqual([])
    })

    it('publishes nothing where the chunks are not the layer', async () => {
      const [key] = await below(from, CHUNK_RECIPES_PREFIX)
      const recipe = JSON.parse((await buffer((await from.get(key!)).body)).toString()) as {
        chunks: object[]
      }
      recipe.chunks.reverse()
      await from.put(key!, Buffer.from(JSON.stringify(recipe)))
      await expect(copyTo()).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await below(inner, 'manifests/')).toEqual([])
      expect(await below(inner, CHUNK_RECIPES_PREFIX)).toEqual([])
    })

    it('stores chunks of the Go program whole', async () => {
      from = new MemoryBackend({ bucket: 'go' })
      await putChunkedImage(from, app, { layers: [layer], chunkSize: CHUNK })
      await copyTo()
      expect(await below(inner, CHUNK_FRAMES_PREFIX)).toEqual([])
      expect((await below(inner, BLOBS_PREFIX)).length).toBe(2)
    })

    it('pins every chunk before the store is asked for one', async () => {
      let pinned = ''
      to.faults = {
        before: async ({ key }) => {
          if (!key.startsWith(CHUNK_FRAMES_PREFIX)) return
          for (const pin of await below(inner, '.s3lo/gc/pins/')) {
            pinned += (await buffer((await inner.get(pin)).body)).toString()
          }
          const [, raw] = /([0-9a-f]{64})-/.exec(key) ?? []
          expect(pinned).toContain(raw)
        },
      }
      await copyTo()
      expect(pinned).not.toBe('')
    })
  },
)

describe('a dry run of a copy writes nothing, and foretells the copy', () => {
  /** What a dry run says, once the copy has said the same. */
  async function foretold(tag = 'v1'): Promise<CopyResult> {
    const before = await Array.fromAsync(inner.list(''))
    const planned = await copyTo(tag, new ImageStore(from), true)
    expect(await Array.fromAsync(inner.list(''))).toEqual(before)
    const { dry_run, ...rest } = planned
    expect(dry_run).toBe(true)
    expect(await copyTo(tag)).toEqual(rest)
    return planned
  }

  it('into an empty store: every chunk once, the repeated one too', async () => {
    const { chunks, chunks_copied, bytes_copied, bytes } = await foretold()
    expect({ chunks, chunks_copied }).toEqual({ chunks: 4, chunks_copied: 3 })
    expect(bytes_copied).toBeLessThan(bytes)
    const stored = await Array.fromAsync(inner.list(CHUNK_FRAMES_PREFIX))
    const frames = stored.reduce((sum, { size }) => sum + size, 0)
    const { manifest } = root
    const configSize = manifest.kind === 'manifest' ? manifest.config.size : NaN
    expect(bytes_copied).toBe(frames + configSize)
  })

  it('into a store with some of the chunks', async () => {
    const [missing, ...others] = await below(from, CHUNK_FRAMES_PREFIX)
    for (const key of others) {
      await inner.put(key, await buffer((await from.get(key)).body))
    }
    expect(await foretold()).toMatchObject({ chunks: 4, chunks_copied: 1 })
    expect(await inner.head(missing!)).toBeDefined()
  })

  it('into a store with the layer', async () => {
    await copyTo()
    const planned = await foretold('v2')
    expect(planned).toMatchObject({ blobs_copied: 0, bytes_copied: 0 })
    expect(planned).not.toHaveProperty('chunks')
  })

  it('into a store of whole layers', async () => {
    await configure('chunked: false\n')
    const planned = await foretold()
    expect(planned.bytes_copied).toBe(planned.bytes)
    expect(planned).not.toHaveProperty('chunks')
  })
})

it.each(['chunked: false\n', 'chunk_format: 1\n', 'chunked: true\nchunk_format: 1\n'])(
  'a copy into a store with %j moves the layer whole, and leaves the stamp',
  async (config) => {
    await configure(config)
    await copyTo()
    expect(await below(inner, CHUNK_FRAMES_PREFIX)).toEqual([])
    expect(await wholeLayers()).toHaveLength(1)
    expect((await buffer((await inner.get(BUCKET_CONFIG_KEY)).body)).toString()).toBe(config)
  },
)

it('a copy inside a store by digest writes no layer', async () => {
  await putChunkedImage(inner, app, { layers: [layer], chunkSize: CHUNK, format: 2 })
  const store = new ImageStore(to)
  const reference = { name: 'app', digest: root.descriptor.digest }
  await copyTo('v2', store)
  await copy({ source: store, reference }, { target: store, reference: { ...app, tag: 'v3' } })
  expect(await wholeLayers()).toEqual([])
  expect(await readCopy('v3')).toEqual(layer)
})

it('a recipe that contradicts itself is none: the layer is written again', async () => {
  await configure('chunked: true\n')
  await copyTo()
  const [recipe] = await below(inner, CHUNK_RECIPES_PREFIX)
  await inner.put(recipe!, Buffer.from('{"v":1}'))
  await copyTo('v2')
  expect(await readCopy('v2')).toEqual(layer)
})
