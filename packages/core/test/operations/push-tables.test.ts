import { buffer } from 'node:stream/consumers'
import { beforeEach, describe, expect, it } from 'vitest'
import { collectGarbage } from '../../src/gc/collector.ts'
import {
  CHUNK_FRAMES_PREFIX,
  CHUNK_RECIPES_PREFIX,
  chunkFrameKey,
  chunkRecipeKey,
  LAYER_TABLES_PREFIX,
  layerTableKey,
} from '../../src/layout/chunk-keys.ts'
import { BUCKET_CONFIG_KEY, manifestKey } from '../../src/layout/keys.ts'
import { digestBelow } from '../../src/layout/parse-key.ts'
import { S3loError } from '../../src/errors.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { cat } from '../../src/operations/cat.ts'
import { push } from '../../src/operations/push.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { readChunkRecipe } from '../../src/store/read-recipe.ts'
import { readLayerTable } from '../../src/store/read-table.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  MemoryBackend,
  noise,
  TAR_END,
  tarFile,
} from '../../src/testing/index.ts'

const NOISE = noise('large', 1_100_000)
const LAYER = Buffer.concat([tarFile('etc/small', 'small'), tarFile('large', NOISE), TAR_END])
const APP = { name: 'app', tag: 'v1' }

let time: number
let inner: MemoryBackend
let backend: FaultyBackend

beforeEach(reset)

async function reset(): Promise<void> {
  time = Date.now()
  inner = new MemoryBackend({ bucket: 'b', now: () => new Date(time) })
  backend = new FaultyBackend(inner)
  await inner.put(BUCKET_CONFIG_KEY, Buffer.from('chunked: true\n'))
}

async function pushLayer(layer: Buffer = LAYER, tag = 'v1'): Promise<void> {
  const source = new FixtureSource({ 'app:v1': imageFixture({ layers: [layer] }) })
  const to = { scheme: 'mem', bucket: 'b', ...APP, tag }
  await push({ source, reference: APP }, new ImageStore(backend), to)
}

const keysBelow = async (prefix: string): Promise<readonly string[]> =>
  (await Array.fromAsync(inner.list(prefix))).map(({ key }) => key)

const layersBelow = async (prefix: string): Promise<readonly string[]> =>
  (await keysBelow(prefix)).flatMap((key) => digestBelow(prefix, key) ?? [])

async function catFrom(store: ImageStore, path: string): Promise<string> {
  let content = Buffer.alloc(0)
  const take = async (given: AsyncIterable<Uint8Array>): Promise<void> => {
    content = Buffer.concat(await Array.fromAsync(given))
  }
  await cat(store, APP, path, take, { platform: 'linux/amd64' })
  return digestOf(content)
}

describe('a push of a layer in chunks', () => {
  it('writes its table after the chunks and before the recipe', async () => {
    await pushLayer()
    const written = backend.calls.filter(({ method }) => method === 'put').map(({ key }) => key)
    const order = written.filter((key) => /chunks|files|recipes|manifest\.json/.test(key))
    const [layer = ''] = await layersBelow(LAYER_TABLES_PREFIX)
    expect(order.slice(-3)).toEqual([layerTableKey(layer), chunkRecipeKey(layer), manifestKey(APP)])
    expect(order.length).toBeGreaterThan(3)
  })

  it('pins the layer before it writes the table', async () => {
    let pinned = ''
    backend.faults = {
      before: async ({ method, key }) => {
        if (method !== 'put' || !key.startsWith(LAYER_TABLES_PREFIX)) return
        for (const pin of await keysBelow('.s3lo/gc/pins/')) {
          pinned += (await buffer((await inner.get(pin)).body)).toString()
        }
        expect(pinned).toContain(digestBelow(LAYER_TABLES_PREFIX, key)?.slice(7))
      },
    }
    await pushLayer()
    expect(pinned).not.toBe('')
  })

  it('writes a table that says what the layer holds', async () => {
    await pushLayer()
    const [layer = ''] = await layersBelow(LAYER_TABLES_PREFIX)
    const { table } = (await readLayerTable(inner, layer))!
    expect(table.content).toEqual({ digest: digestOf(LAYER), size: LAYER.length })
    expect(table.entries).toMatchObject([
      { name: 'etc/small', digest: digestOf(Buffer.from('small')) },
      { name: 'large', offset: 1536, size: NOISE.length, digest: digestOf(NOISE) },
    ])
    expect(await catFrom(new ImageStore(inner), 'large')).toBe(digestOf(NOISE))
  })

  it('writes none for a layer that is no tar, and publishes it', async () => {
    await pushLayer(NOISE)
    expect(await keysBelow(LAYER_TABLES_PREFIX)).toEqual([])
    expect(await keysBelow(CHUNK_RECIPES_PREFIX)).toHaveLength(1)
    expect(await keysBelow(manifestKey(APP))).toHaveLength(1)
  })

  it('writes none again for an image that is there', async () => {
    await pushLayer()
    const before = backend.calls.length
    await pushLayer(LAYER, 'v2')
    const written = backend.calls.slice(before).filter(({ method }) => method === 'put')
    expect(written.filter(({ key }) => /chunks|files|recipes/.test(key))).toEqual([])
  })

  it.each(['before', 'after'] as const)(
    'that dies %s any request leaves no table to believe that is wrong, and nothing for ever',
    async (side) => {
      await pushLayer()
      const total = backend.calls.length
      for (let last = 1; last <= total; last++) {
        await reset()
        const die = ({ count }: { readonly count: number }): void => {
          if (count >= last) throw new S3loError('UNAVAILABLE', 'the process has died')
        }
        backend.faults = { [side]: die }
        const isDone = await pushLayer().then(
          () => true,
          () => false,
        )
        await assertConsistent()
        expect(isDone && !(await inner.head(manifestKey(APP)))).toBe(false)
        // The pins die, and a collector takes what no tag and no record names.
        time += 25 * 3_600_000
        await collectGarbage(inner, { confirm: true, graceMs: 0, who: 'test' })
        await assertConsistent()
        const roots = await keysBelow('.s3lo/repositories/app/_manifests/')
        const kept = await keysBelow(LAYER_TABLES_PREFIX)
        expect(kept).toHaveLength(Math.min(1, roots.length))
        expect(await keysBelow(CHUNK_RECIPES_PREFIX)).toHaveLength(kept.length)
        backend.faults = {}
        await pushLayer()
        expect(await catFrom(new ImageStore(inner), 'etc/small')).toBe(
          digestOf(Buffer.from('small')),
        )
      }
    },
    120_000,
  )
})

/** Each table can be read, each recipe has a table and its chunks, and each tag its recipe. */
async function assertConsistent(): Promise<void> {
  const tables = await layersBelow(LAYER_TABLES_PREFIX)
  for (const layer of tables) expect(await readLayerTable(inner, layer)).toBeDefined()
  const chunks = new Set(await keysBelow(CHUNK_FRAMES_PREFIX))
  const recipes = (await keysBelow(CHUNK_RECIPES_PREFIX)).map((key) => `sha256:${key.slice(-64)}`)
  for (const layer of recipes) {
    expect(tables).toContain(layer)
    const recipe = await readChunkRecipe(inner, layer)
    expect(recipe?.chunks.every((chunk) => chunks.has(chunkFrameKey(chunk)))).toBe(true)
  }
  if (await inner.head(manifestKey(APP))) expect(recipes).toHaveLength(1)
}
