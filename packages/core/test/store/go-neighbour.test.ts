import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  MemoryBackend,
  type StorageCall,
} from '../../src/testing/index.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const image = imageFixture({ layers: ['base', 'top'] })
const V1 = { name: 'app', tag: 'v1' }
const BLOBS = [...image.content.keys()].map(blobKey)

interface World {
  readonly backend: MemoryBackend
  time: number
}

/** A bucket with garbage of some age, and with or without traces of the Go program. */
async function bucket(age: number, { traces = true } = {}): Promise<World> {
  const clock = { time: Date.UTC(2026, 0, 1) }
  const backend = new MemoryBackend({ now: () => new Date(clock.time) })
  const world: World = Object.assign(clock, { backend })
  if (traces) await world.backend.put('chunks/sha256/aa', Buffer.from('chunk'))
  for (const [digest, content] of image.content) await world.backend.put(blobKey(digest), content)
  world.time += age
  return world
}

/** What the Go program's clean does, without a look at pins: first it marks and lists, then it deletes. */
class GoClean {
  readonly #world: World
  #doomed: readonly string[] = []

  constructor(world: World) {
    this.#world = world
  }

  async mark(): Promise<void> {
    const { backend, time } = this.#world
    const live = new Set<string>()
    for await (const { key } of backend.list('manifests/')) {
      if (!key.endsWith('/manifest.json')) continue
      const content = Buffer.concat(await (await backend.get(key)).body.toArray())
      for (const { digest } of successors(parseManifest(content, key))) live.add(blobKey(digest))
    }
    const old = await Array.fromAsync(backend.list('blobs/'))
    this.#doomed = old
      .filter(({ key, lastModified }) => !live.has(key) && time - +lastModified > HOUR)
      .map(({ key }) => key)
  }

  async sweep(): Promise<void> {
    await this.#world.backend.delete(this.#doomed)
  }
}

/** A push; `before` runs before each of its requests, which are counted from 0. */
async function push(
  { backend }: World,
  before?: (number: number, call: StorageCall) => Promise<void>,
): Promise<readonly StorageCall[]> {
  let number = 0
  const faulty = new FaultyBackend(backend, {
    before: async (call) => before?.(number++, call),
  })
  const target = new ImageStore(faulty)
  const source = new FixtureSource({ 'app:v1': image })
  await copy({ source, reference: V1 }, { target, reference: V1 }, { concurrency: 1 })
  return faulty.calls
}

async function missing({ backend }: World): Promise<readonly string[]> {
  const there = new Set((await Array.fromAsync(backend.list('blobs/'))).map(({ key }) => key))
  return BLOBS.filter((key) => !there.has(key))
}

describe('a push beside the Go program, whose clean knows no pins', () => {
  it('is whole wherever that clean marks and wherever it deletes before the last look', async () => {
    const calls = await push(await bucket(3 * HOUR))
    const published = calls.findIndex(({ key }) => key === 'manifests/app/v1/manifest.json')
    const last = calls.findLastIndex(({ method, key }) => method === 'head' && BLOBS.includes(key))
    expect(
      last -
        calls.findLastIndex(
          ({ method, key }) => method === 'put' && key.endsWith('/manifest.json'),
        ),
    ).toBeGreaterThan(0)
    expect(published).toBeGreaterThan(0)
    const firstLook = last - BLOBS.length + 1
    let deleted = 0
    for (let mark = 0; mark <= firstLook; mark++) {
      for (let sweep = mark; sweep <= firstLook; sweep++) {
        const world = await bucket(3 * HOUR)
        const clean = new GoClean(world)
        const before = async (number: number): Promise<void> => {
          if (number === mark) await clean.mark()
          if (number !== sweep) return
          await clean.sweep()
          deleted += (await missing(world)).length
        }
        try {
          await push(world, before)
        } catch (error) {
          // Never a success without the content; what a second push then mends is an error of the first.
          if (!isS3loError(error, 'UNAVAILABLE')) throw error
          await push(world)
        }
        expect(await missing(world), `marks before ${mark}, deletes before ${sweep}`).toEqual([])
      }
    }
    expect(deleted).toBeGreaterThan(10)
  })

  it('gives old content that it re-uses a new date', async () => {
    const world = await bucket(3 * HOUR)
    await push(world)
    for (const key of BLOBS) {
      expect((await world.backend.head(key))?.lastModified.getTime()).toBe(world.time)
    }
  })

  it('uploads it again where the store cannot date it anew', async () => {
    const world = await bucket(3 * HOUR)
    Object.defineProperty(world.backend, 'touch', { value: undefined })
    const calls = await push(world)
    expect(calls.filter(({ method, key }) => method === 'put' && BLOBS.includes(key))).toHaveLength(
      BLOBS.length,
    )
  })

  it.each([
    ['young content', 10 * MINUTE, true],
    ['a bucket without traces', 3 * HOUR, false],
  ])('asks for nothing more with %s, but for the traces', async (_, age, traces) => {
    const calls = await push(await bucket(age, { traces }))
    const names = calls.map(({ method, key }) => `${method} ${key}`)
    expect(names.filter((name) => name.startsWith('touch'))).toEqual([])
    expect(names.filter((name) => name.startsWith('head blobs/'))).toHaveLength(BLOBS.length)
    expect(names.filter((name) => name === 'list chunks/')).toHaveLength(traces ? 0 : 1)
  })

  it('says so when the content goes away again and again', async () => {
    const world = await bucket(3 * HOUR)
    const pushed = push(world, async (_, { method, key }) => {
      if (method !== 'head' || !BLOBS.includes(key)) return
      const isPublished = await world.backend.head('manifests/app/v1/manifest.json')
      if (isPublished) await world.backend.delete([key])
    })
    await expect(pushed).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})
