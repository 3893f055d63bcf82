import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { S3loError } from '../../src/errors.ts'
import { collectGarbage, type CollectOptions, type CollectResult } from '../../src/gc/collector.ts'
import { writeControl } from '../../src/gc/control-object.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import type { CollectedObject } from '../../src/gc/sweep.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { linkKey, recordKey } from '../../src/layout/repository-keys.ts'
import { putChunkedImage } from '../../src/testing/chunked-fixture.ts'
import { FaultyBackend } from '../../src/testing/index.ts'
import { type ChunkedLayerFixture, plantChunked, putChunkedLayer } from './chunked-world.ts'
import { HOUR, SECOND, TimedStore } from './world.ts'

const TAG = manifestKey({ name: 'app', tag: 'latest' })

let store: TimedStore
let backend: StorageBackend
let live: ChunkedLayerFixture
let dead: ChunkedLayerFixture

beforeEach(async () => {
  store = new TimedStore()
  backend = store.backend
  live = await putChunkedLayer(backend, ['shared', 'live'])
  dead = await putChunkedLayer(backend, ['shared', 'dead'])
  await plantChunked(backend, [live], 'app')
  store.advance(2 * HOUR)
})

function collect(options: CollectOptions = {}, on = backend): Promise<CollectResult> {
  return collectGarbage(on, { confirm: true, graceMs: 0, who: 'test', ...options })
}

function keysOf({ keys }: ChunkedLayerFixture): readonly string[] {
  return [...keys.chunks, keys.table, keys.recipe]
}

async function isWhole(layer: ChunkedLayerFixture): Promise<boolean> {
  const found = await Promise.all(keysOf(layer).map((key) => backend.head(key)))
  return !found.includes(undefined)
}

async function missing(layer: ChunkedLayerFixture): Promise<readonly string[]> {
  const heads = await Promise.all(
    keysOf(layer).map(async (key) => ((await backend.head(key)) ? [] : [key])),
  )
  return heads.flat()
}

const onlyDead = (): readonly string[] => [dead.keys.chunks[1]!, dead.keys.table, dead.keys.recipe]

describe('chunks, recipes and tables', () => {
  it('stay as long as a tag needs their layer, and go when nothing does', async () => {
    expect(await collect()).toMatchObject({ scanned: 8, deleted: 3, failed: 0 })
    expect(await isWhole(live)).toBe(true)
    expect(await missing(dead)).toEqual(onlyDead())
    await backend.delete([TAG])
    await collect({ census: undefined })
    expect(await store.keys('')).toEqual([])
  })

  it('are told from others of the same raw bytes by their whole key', async () => {
    const params = { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_checksumFlag]: 0 }
    const encode = (raw: Uint8Array): Promise<Uint8Array> =>
      Promise.resolve(zstdCompressSync(raw, { params }))
    const other = await putChunkedLayer(backend, ['shared', 'live'], encode)
    expect(other.chunks[0]!.raw).toBe(live.chunks[0]!.raw)
    expect(other.chunks[0]!.frame).not.toBe(live.chunks[0]!.frame)
    store.advance(2 * HOUR)
    expect(await collect()).toMatchObject({ deleted: 7 })
    expect(await missing(other)).toEqual(keysOf(other))
    expect(await isWhole(live)).toBe(true)
  })

  it('are condemned by their whole key too, and go after the grace in one clean', async () => {
    const grace = { graceMs: HOUR }
    expect(await collect(grace)).toMatchObject({ deleted: 0, condemned: 3 })
    store.advance(HOUR)
    expect(await collect(grace)).toMatchObject({ deleted: 3, condemned: 0 })
    expect(await isWhole(live)).toBe(true)
  })

  it('are counted by a dry run, which writes nothing', async () => {
    const seen: string[] = []
    const onObject = ({ key }: CollectedObject): void => void seen.push(key)
    expect(await collect({ confirm: false, onObject })).toMatchObject({ deleted: 3, rounds: 0 })
    expect(seen.toSorted()).toEqual(onlyDead().toSorted())
    expect(await isWhole(dead)).toBe(true)
  })

  it('stay with a digest record, and are what an untagged image holds', async () => {
    const root = await plantChunked(backend, [dead])
    await backend.put(recordKey('app', root.descriptor.digest), root.content)
    store.advance(2 * HOUR)
    const bytes = await Promise.all(onlyDead().map(async (key) => (await backend.head(key))!.size))
    const result = await collect()
    expect(result).toMatchObject({ deleted: 0, untagged: 1 })
    expect(result.heldBytes).toBe(bytes.reduce((sum, size) => sum + size, 0))
    expect(await isWhole(dead)).toBe(true)
  })

  it.each([
    ['its layer', () => nameOf(dead.digest), []],
    ['a prefix of its layer', () => nameOf(dead.digest).slice(0, 8), []],
    ['the raw bytes of its chunk', () => nameOf(dead.chunks[1]!.raw), ['table', 'recipe']],
  ] as const)('stay while a pin names %s', async (_, name, gone) => {
    await writeControl(backend, 'pin', { names: [name()], who: '' }, { ttlSeconds: 600 })
    await collect()
    expect(await missing(dead)).toEqual(gone.map((kind) => dead.keys[kind]))
    store.advance(901 * SECOND)
    await collect()
    expect(await missing(dead)).toEqual(onlyDead())
  })

  it('stay while a client of the registry may name their layer', async () => {
    const until = store.time + 24 * HOUR
    const link = { repository: 'app', digest: dead.digest, expires: until, id: '0'.repeat(32) }
    await backend.put(linkKey(link), Buffer.alloc(0))
    await collect()
    expect(await isWhole(dead)).toBe(true)
  })
})

describe('a chunk', () => {
  it('goes after the recipe that names it: a recipe that is found has its chunks', async () => {
    const order: string[] = []
    const faulty = new FaultyBackend(backend, {
      before: ({ method, keys }) => {
        if (method === 'delete') order.push(...keys)
        return Promise.resolve()
      },
    })
    await collect({}, faulty)
    const [chunk, table, recipe] = onlyDead().map((key) => order.indexOf(key))
    expect(table! >= 0 && table! < recipe! && recipe! < chunk!).toBe(true)
  })

  it('stays while the recipe of a layer that nothing needs is too young to go', async () => {
    await backend.put(dead.keys.recipe, dead.recipe)
    expect(await collect({ graceMs: 1 })).toMatchObject({ recent: 1 })
    store.advance(1)
    await collect({ graceMs: 1 })
    expect(await isWhole(dead)).toBe(false)
  })

  it('stays when a recipe that names it is written after the pins were read', async () => {
    await backend.delete([dead.keys.recipe, dead.keys.table])
    let isOpen = false
    const faulty = new FaultyBackend(backend, {
      before: async ({ method, key }) => {
        if (method === 'put') isOpen ||= key.startsWith('.s3lo/gc/rounds/')
        if (!isOpen || method !== 'list' || key !== '.s3lo/links/') return
        await backend.put(dead.keys.recipe, dead.recipe)
      },
    })
    await collect({}, faulty)
    expect(await backend.head(dead.keys.chunks[1]!)).toBeDefined()
  })

  it.each([
    ['damaged', async (key: string) => void (await backend.put(key, Buffer.from('{}')))],
    ['not to be read', () => Promise.resolve()],
  ])('stays while the recipe of a live layer is %s, and a clean says so', async (how, damage) => {
    await damage(live.keys.recipe)
    const faulty = new FaultyBackend(backend, {
      before: ({ method, key }) =>
        method === 'get' && key === live.keys.recipe && how !== 'damaged'
          ? Promise.reject(new S3loError('FORBIDDEN', 'not yours'))
          : Promise.resolve(),
    })
    const result = await collect({}, faulty)
    expect(result.unreadableRecipes).toMatchObject([{ name: live.keys.recipe }])
    expect(await missing(dead)).toEqual([dead.keys.table, dead.keys.recipe])
    await backend.put(live.keys.recipe, live.recipe)
    expect(await collect()).toMatchObject({ deleted: 1, unreadableRecipes: [] })
  })
})

describe('what the Go program stored in chunks', () => {
  const options = { chunkSize: 4, layers: [Buffer.from('abcdefgh')] }

  beforeEach(async () => {
    await putChunkedImage(backend, { name: 'go', tag: 'live' }, options)
    const layers = [Buffer.from('abcdIJKL')]
    await putChunkedImage(backend, { name: 'go', tag: 'dead' }, { ...options, layers })
    await backend.delete([manifestKey({ name: 'go', tag: 'dead' })])
    await backend.put(`indexes/sha256/${'0'.repeat(64)}`, Buffer.from('index'))
    store.advance(2 * HOUR)
    await backend.delete(keysOf(dead))
    await backend.put(live.keys.chunks[0]!, Buffer.from('frame'))
    store.advance(2 * HOUR)
  })

  const stored = async (): Promise<number> =>
    (await Promise.all(['chunks/', 'recipes/', 'indexes/'].map((each) => store.keys(each)))).flat()
      .length

  it('is counted and stays, without the word that its writers have ended', async () => {
    const before = await stored()
    const kinds: string[] = []
    const onObject = ({ outcome }: CollectedObject): void => void kinds.push(outcome.kind)
    const result = await collect({ onObject })
    expect(result.goGarbage.objects).toBe(3)
    expect(result.goGarbage.bytes).toBeGreaterThan(0)
    expect(kinds.filter((kind) => kind === 'go-writers')).toHaveLength(3)
    expect(await stored()).toBe(before)
  })

  it('goes with that word, but for what a tag needs', async () => {
    const before = await stored()
    const result = await collect({ goWritersStopped: true, graceMs: HOUR })
    expect(result.goGarbage).toEqual({ objects: 0, bytes: 0 })
    expect(await stored()).toBe(before - 3)
    expect(await store.keys('recipes/')).toHaveLength(1)
    expect(await store.keys('chunks/')).toHaveLength(2)
  })

  it('counts alike in a dry run', async () => {
    const result = await collect({ goWritersStopped: true, confirm: false })
    expect(await collect({ goWritersStopped: true })).toMatchObject({ deleted: result.deleted })
  })
})
