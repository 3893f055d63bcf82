import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { collectGarbage } from '../../src/gc/collector.ts'
import type { ProtectionOptions } from '../../src/gc/protection.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { parseRepositoryKey, recordKey } from '../../src/layout/repository-keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { FixtureSource } from '../../src/testing/fixtures.ts'
import { Actor, type Request } from './scheduler.ts'
import { HOUR, layered, TimedStore } from './world.ts'

const image = layered('layer')
const another = layered('another')
const { digest } = image.root.descriptor
const LATEST = { name: 'app', tag: 'latest' }
const PLACE = { scheme: 'memory', bucket: 'memory', image: 'app', ...LATEST }
const POLL_MS = 1
const RUNS = 300
const PURGES = 150

/** What matters to both: control objects, tags, records, and one layer. */
const layer = successors(parseManifest(image.root.content, 'image'))[1]!
const SHARED = [/^\.s3lo\/gc\/(pins|rounds)\//, /^manifests\//, /^\.s3lo\/repositories\//]

function isFree({ method, key }: Request): boolean {
  if (method === 'delay') return false
  return key !== blobKey(layer.digest) && !SHARED.some((shared) => shared.test(key))
}

/** Numbers from 0 to 1 that a seed fixes (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Tags and records that miss content, and a tag of the image whose record is gone. */
async function broken(store: TimedStore): Promise<readonly string[]> {
  const found = [...(await store.broken())]
  for (const key of await store.keys('.s3lo/repositories/')) {
    if (parseRepositoryKey(key)?.kind !== 'record') continue
    const { body } = await store.backend.get(key)
    const content = Buffer.concat(await body.toArray())
    for (const blob of successors(parseManifest(content, key))) {
      if (!(await store.backend.head(blobKey(blob.digest)))) found.push(`${key} ${blob.digest}`)
    }
  }
  return found
}

interface Course {
  readonly steps: readonly string[]
  readonly broken: readonly string[]
  readonly failure: unknown
}

type Work = (store: ImageStore, protection: ProtectionOptions) => Promise<unknown>

const collect: Work = ({ backend }) =>
  collectGarbage(backend, { confirm: true, graceMs: 0, keepUntagged: () => 0 })

const purge: Work = (target, protection) =>
  deleteTag(target, { ...PLACE, digest }, { protection }).catch((error: unknown) => {
    if (!isS3loError(error, 'NOT_FOUND')) throw error
  })

/** Starts one of the two sides. */
async function begin(name: string, store: TimedStore, work: Work): Promise<Actor> {
  const actor = new Actor(name)
  const delay = (ms: number, signal?: AbortSignal): Promise<void> =>
    ms === POLL_MS ? actor.turn({ method: 'delay', key: '' }) : store.delay(ms, signal)
  const protection = { pollMs: POLL_MS, delay }
  const target = new ImageStore(actor.through(store.backend, isFree), { protection })
  await actor.start(() => work(target, protection))
  return actor
}

/** One course of events in an order that the seed fixes. */
async function play(
  seed: number,
  store: TimedStore,
  work: Work,
  against = collect,
): Promise<Course> {
  const random = randomOf(seed)
  const writer = await begin('writer', store, work)
  const other = await begin('other', store, against)
  const steps: string[] = []
  const faults: string[] = []
  while (writer.waiting ?? other.waiting) {
    // One that polls sees no more before the other side has gone on.
    const ready = [writer, other].filter(({ waiting }) => waiting)
    const awake = ready.filter(({ waiting }) => waiting?.method !== 'delay')
    const able = awake.length > 0 ? awake : ready
    const actor = able[Math.floor(random() * able.length)]!
    const { method, key } = actor.waiting!
    steps.push(`${actor.name}: ${method} ${key}`)
    await actor.step()
    if (method === 'put' || method === 'delete') faults.push(...(await broken(store)))
  }
  if (other.failure !== undefined) throw other.failure
  return { steps, broken: faults, failure: writer.failure }
}

/** An image that was pushed two days ago; `isTagged`: as the Go program does it, without a record. */
async function filled(isTagged: boolean): Promise<TimedStore> {
  const store = new TimedStore()
  await store.plant(image, isTagged ? 'app' : undefined)
  if (!isTagged) await store.backend.put(recordKey('app', digest), image.root.content)
  store.pause(48 * HOUR)
  return store
}

describe('interleavings of a collection', () => {
  it('with a restore: the tag is whole and has its record, or is not there', async () => {
    let restored = 0
    for (let seed = 1; seed <= RUNS; seed++) {
      const store = await filled(false)
      const course = await play(seed, store, (target) =>
        copy({ source: target, reference: { name: 'app', digest } }, { target, reference: LATEST }),
      )
      expect(course).toMatchObject({ broken: [] })
      const isThere = (await store.backend.head(manifestKey(LATEST))) !== undefined
      if (isThere) expect(await store.backend.head(recordKey('app', digest))).toBeDefined()
      expect(course.failure === undefined).toBe(isThere)
      const code = isS3loError(course.failure) ? course.failure.code : 'BUG'
      if (!isThere) expect(['NOT_FOUND', 'CONFLICT', 'UNAVAILABLE']).toContain(code)
      restored += Number(isThere)
    }
    expect(restored).toBeGreaterThan(RUNS / 20)
    expect(restored).toBeLessThan(RUNS)
  }, 60_000)

  it('with a move of a tag without a record: what it named stays whole', async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const store = await filled(true)
      const source = new FixtureSource({ 'app:x': another })
      const course = await play(seed, store, (target) =>
        copy({ source, reference: { name: 'app', tag: 'x' } }, { target, reference: LATEST }),
      )
      expect(course).toMatchObject({ broken: [], failure: undefined })
      expect(await store.backend.head(recordKey('app', digest))).toBeDefined()
    }
  }, 60_000)

  it('with a delete of a tag without a record: what it named stays whole', async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const store = await filled(true)
      const course = await play(seed, store, (target, protection) =>
        deleteTag(target, PLACE, { protection }),
      )
      expect(course).toMatchObject({ broken: [], failure: undefined })
      expect(await store.backend.head(recordKey('app', digest))).toBeDefined()
    }
  }, 60_000)
})

describe('interleavings of a purge', () => {
  const move: Work = (target) => {
    const source = new FixtureSource({ 'app:x': another })
    return copy({ source, reference: { name: 'app', tag: 'x' } }, { target, reference: LATEST })
  }
  const restore: Work = (target) =>
    copy({ source: target, reference: { name: 'app', digest } }, { target, reference: LATEST })

  it.each([
    ['with its record', true],
    ['without a record', false],
  ])(
    'with a move of the tag of an image %s: nothing is left of that',
    async (_, hasRecord) => {
      for (let seed = 1; seed <= PURGES; seed++) {
        const store = await filled(true)
        if (hasRecord) await store.backend.put(recordKey('app', digest), image.root.content)
        const course = await play(seed, store, move, purge)
        expect(course).toMatchObject({ broken: [], failure: undefined })
        expect(await store.backend.head(recordKey('app', digest))).toBeUndefined()
      }
    },
    60_000,
  )

  it('with a restore: the tag and the record are there, or neither', async () => {
    let restored = 0
    for (let seed = 1; seed <= PURGES; seed++) {
      const store = await filled(false)
      const course = await play(seed, store, restore, purge)
      expect(course).toMatchObject({ broken: [] })
      const isThere = (await store.backend.head(manifestKey(LATEST))) !== undefined
      const hasRecord = (await store.backend.head(recordKey('app', digest))) !== undefined
      expect(hasRecord).toBe(isThere)
      expect(course.failure === undefined || !isThere).toBe(true)
      restored += Number(isThere)
    }
    expect(restored).toBeGreaterThan(PURGES / 20)
    expect(restored).toBeLessThan(PURGES)
  }, 60_000)
})
