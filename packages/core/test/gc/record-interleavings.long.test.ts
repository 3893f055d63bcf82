import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { collectGarbage } from '../../src/gc/collector.ts'
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
const other = layered('another')
const { digest } = image.root.descriptor
const LATEST = { name: 'app', tag: 'latest' }
const POLL_MS = 1
const RUNS = 300

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

/** One course of events in an order that the seed fixes. */
async function play(
  seed: number,
  store: TimedStore,
  work: (store: ImageStore) => Promise<unknown>,
): Promise<Course> {
  const random = randomOf(seed)
  const writer = new Actor('writer')
  const collector = new Actor('collector')
  const delay = (ms: number, signal?: AbortSignal): Promise<void> =>
    ms === POLL_MS ? writer.turn({ method: 'delay', key: '' }) : store.delay(ms, signal)
  const protection = { pollMs: POLL_MS, delay }
  const target = new ImageStore(writer.through(store.backend, isFree), { protection })
  await writer.start(() => work(target))
  const gated = collector.through(store.backend, isFree)
  const options = { confirm: true, graceMs: 0, keepUntagged: () => 0 }
  await collector.start(() => collectGarbage(gated, options))
  const steps: string[] = []
  const faults: string[] = []
  while (writer.waiting ?? collector.waiting) {
    // A writer that polls for a round sees no more before the collector has gone on.
    const isPolling = writer.waiting?.method === 'delay' && collector.waiting
    const ready = [writer, collector].filter((a) => a.waiting && !(a === writer && isPolling))
    const actor = ready[Math.floor(random() * ready.length)]!
    const { method, key } = actor.waiting!
    steps.push(`${actor.name}: ${method} ${key}`)
    await actor.step()
    if (method === 'put' || method === 'delete') faults.push(...(await broken(store)))
  }
  if (collector.failure !== undefined) throw collector.failure
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
      const source = new FixtureSource({ 'app:x': other })
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
      const course = await play(seed, store, (target) => {
        const { scheme, bucket } = target.backend
        return deleteTag(
          target,
          { scheme, bucket, image: 'app', ...LATEST },
          {
            protection: { pollMs: POLL_MS, delay: store.delay },
          },
        )
      })
      expect(course).toMatchObject({ broken: [], failure: undefined })
      expect(await store.backend.head(recordKey('app', digest))).toBeDefined()
    }
  }, 60_000)
})
