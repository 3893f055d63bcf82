import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { isS3loError, S3loError } from '../../src/errors.ts'
import { collectGarbage } from '../../src/gc/collector.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { UPLOADS_PREFIX } from '../../src/layout/upload-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { UploadName, Uploads } from '../../src/store/upload-contract.ts'
import { openUploads } from '../../src/store/uploads.ts'
import {
  dieAt,
  FaultyBackend,
  type Faults,
  MemoryBackend,
  throwAt,
} from '../../src/testing/index.ts'
import { HOUR, TimedStore } from '../gc/world.ts'

const APP = 'team/app'
const CONTENT = Buffer.from('the bytes of a layer, in no particular order')
const DIGEST = digestOf(CONTENT)
const KEY = blobKey(DIGEST)
/** Where pieces end. */
const WAYS: Record<string, readonly number[]> = {
  'one piece': [CONTENT.length],
  'three pieces': [9, 20, CONTENT.length],
  'no piece but the last bytes': [],
}

/** A client that sends what is missing, from what the store says to have, and finishes. */
async function send(uploads: Uploads, upload: UploadName, ends: readonly number[]): Promise<void> {
  for (const end of ends) {
    const { offset = 0 } = (await uploads.status(upload)) ?? {}
    if (offset >= end) continue
    await uploads.append(upload, offset, Readable.from([CONTENT.subarray(offset, end)]))
  }
  const body = ends.length === 0 ? Readable.from([CONTENT]) : undefined
  await uploads.finish(upload, DIGEST, { body })
}

/** Begins, sends and finishes; tells the upload as soon as it has a name. */
async function sendAll(
  backend: StorageBackend,
  ends: readonly number[],
  onBegin: (upload: UploadName) => void,
): Promise<void> {
  const uploads = openUploads(backend)
  const upload = await uploads.begin(APP)
  onBegin(upload)
  await send(uploads, upload, ends)
}

/** Continues in another process, or starts again where the upload is over. */
async function recover(
  backend: StorageBackend,
  ends: readonly number[],
  upload: UploadName | undefined,
): Promise<void> {
  const uploads = openUploads(backend)
  try {
    await send(uploads, upload ?? (await uploads.begin(APP)), ends)
  } catch (error) {
    if (!isS3loError(error, 'NOT_FOUND')) throw error
    await send(uploads, await uploads.begin(APP), ends)
  }
}

/** Where one piece is moved to the blob's key, and where it is copied. */
const STORES: Record<string, <B extends StorageBackend>(backend: B) => B> = {
  'can move': (backend) => backend,
  'can only copy': (backend) => Object.assign(backend, { move: undefined }),
}

const CASES = Object.entries(WAYS).flatMap(([way, ends]) =>
  Object.entries(STORES).map(([can, of]) => ({ way, can, ends, of })),
)

async function blobOf(backend: StorageBackend): Promise<string | undefined> {
  if (!(await backend.head(KEY))) return undefined
  const { body } = await backend.get(KEY)
  return Buffer.concat(await body.toArray()).toString()
}

/** Every number of a storage call that an upload makes. */
async function eachCall(
  { ends, of }: Pick<(typeof CASES)[number], 'ends' | 'of'>,
  test: (count: number) => Promise<void>,
): Promise<void> {
  const whole = new FaultyBackend(of(new MemoryBackend()))
  await sendAll(whole, ends, () => {})
  for (let count = 1; count <= whole.calls.length; count++) await test(count)
}

describe.each(CASES)('an upload of $way into a store that $can', ({ ends, of }) => {
  it.each(['before', 'after'] as const)(
    'killed %s any storage call is continued, and leaves nothing after a day',
    async (when) => {
      await eachCall({ ends, of }, async (count) => {
        const store = new TimedStore()
        of(store.backend)
        const { faults, died } = dieAt(count, when)
        let begun: UploadName | undefined
        void sendAll(new FaultyBackend(store.backend, faults), ends, (upload) => (begun = upload))
        await died
        expect([undefined, CONTENT.toString()]).toContain(await blobOf(store.backend))
        await recover(store.backend, ends, begun)
        expect(await blobOf(store.backend)).toBe(CONTENT.toString())
        store.pause(23 * HOUR)
        await collectGarbage(store.backend, { confirm: true, graceMs: 0 })
        expect(await blobOf(store.backend)).toBe(CONTENT.toString())
        store.pause(2 * HOUR)
        await collectGarbage(store.backend, { confirm: true, graceMs: 0 })
        expect(await store.keys('')).toEqual([])
      })
    },
  )

  it.each(['before', 'after'] as const)(
    'is continued where the store fails %s any call',
    async (when) => {
      await eachCall({ ends, of }, async (count) => {
        const backend = of(new MemoryBackend())
        const failure = new S3loError('UNAVAILABLE', 'no answer')
        const faults: Faults = { [when]: throwAt(count, failure) }
        let begun: UploadName | undefined
        const sent = sendAll(new FaultyBackend(backend, faults), ends, (upload) => (begun = upload))
        await sent.catch((error: unknown) => expect(error).toBe(failure))
        expect([undefined, CONTENT.toString()]).toContain(await blobOf(backend))
        await recover(backend, ends, begun)
        expect(await blobOf(backend)).toBe(CONTENT.toString())
      })
    },
  )

  it('cancelled before any call of its end is stored whole or not at all', async () => {
    const inner = of(new MemoryBackend())
    let calls = Infinity
    for (let at = 1; at <= calls; at++) {
      const uploads = openUploads(inner)
      const upload = await uploads.begin(APP)
      await send(withoutEnd(uploads), upload, ends)
      const backend = new FaultyBackend(inner, {
        before: async ({ count }) => {
          if (count === at) await uploads.cancel(upload)
        },
      })
      const body = ends.length === 0 ? Readable.from([CONTENT]) : undefined
      const outcome = await openUploads(backend)
        .finish(upload, DIGEST, { body })
        .then(({ kind }) => kind)
        .catch((error: unknown) => (isS3loError(error) ? error.code : error))
      calls = backend.calls.length
      const blob = await blobOf(inner)
      expect(['stored', 'NOT_FOUND']).toContain(outcome)
      expect(
        outcome === 'stored' ? [CONTENT.toString()] : [CONTENT.toString(), undefined],
      ).toContain(blob)
      expect(await Array.fromAsync(inner.list(UPLOADS_PREFIX))).toEqual([])
      for await (const { key } of inner.list('')) await inner.delete([key])
    }
    expect(calls).toBeGreaterThan(4)
  })

  it('that gets other bytes at any call of its end is stored as it was announced', async () => {
    let calls = Infinity
    for (let at = 1; at <= calls; at++) {
      const inner = of(new MemoryBackend())
      const uploads = openUploads(inner)
      const upload = await uploads.begin(APP)
      await send(withoutEnd(uploads), upload, ends)
      const backend = new FaultyBackend(inner, {
        before: async ({ count }) => {
          if (count !== at) return
          const late = uploads.append(upload, undefined, Readable.from(['late']))
          await late.catch((error: unknown) => expect(isS3loError(error, 'NOT_FOUND')).toBe(true))
        },
      })
      const body = ends.length === 0 ? Readable.from([CONTENT]) : undefined
      const finished = openUploads(backend).finish(upload, DIGEST, { body })
      // What came before the end is a part of it, and then the digest is another one.
      const outcome = await finished.catch((error: unknown) => isS3loError(error, 'INTEGRITY'))
      calls = backend.calls.length
      expect(await blobOf(inner)).toBe(outcome === true ? undefined : CONTENT.toString())
    }
    expect(calls).toBeGreaterThan(4)
  })
})

/** A backend whose calls take turns in an order that the seed fixes. */
function shuffled(inner: StorageBackend, seed: number): StorageBackend {
  let state = seed * 2_654_435_761 + 1
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 16) % 6
  }
  const wait = async (): Promise<void> => {
    for (let turns = next(); turns > 0; turns--) await setImmediate()
  }
  return new FaultyBackend(inner, { before: wait, after: wait })
}

it('finishing twice, cancelling, appending and collecting at once leave a whole blob or none, 60 times', async () => {
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= 60; seed++) {
    const inner = new MemoryBackend()
    if (seed % 4 < 2) Object.assign(inner, { move: undefined })
    // Garbage that the collector has condemned, so that it takes part.
    await inner.put(KEY, CONTENT)
    const upload = await openUploads(inner).begin(APP)
    const ends = seed % 2 === 0 ? [CONTENT.length] : [9, CONTENT.length]
    await send(withoutEnd(openUploads(inner)), upload, ends)
    const at = (n: number): Uploads =>
      openUploads(shuffled(inner, seed * 10 + n), { delay: () => setImmediate(), pollMs: 1 })
    const told = (work: Promise<{ readonly kind: string }>): Promise<string> =>
      work.then(
        ({ kind }) => kind,
        (error: unknown) => (isS3loError(error) ? error.code : String(error)),
      )
    const [one, two] = await Promise.all([
      told(at(1).finish(upload, DIGEST)),
      told(at(2).finish(upload, DIGEST)),
      seed % 3 === 0 ? at(3).cancel(upload) : undefined,
      seed % 5 === 0 ? told(at(4).append(upload, undefined, Readable.from(['late']))) : undefined,
      collectGarbage(shuffled(inner, seed * 10 + 5), { confirm: true, graceMs: 0 }),
    ])
    for (const outcome of [one, two]) outcomes.add(outcome)
    expect([CONTENT.toString(), undefined]).toContain(await blobOf(inner))
    if (one === 'stored' || two === 'stored') expect(await blobOf(inner)).toBe(CONTENT.toString())
    if (seed % 15 === 1) expect([one, two]).toEqual(['stored', 'stored'])
  }
  // Late bytes make it another digest.
  expect(
    [...outcomes].filter((each) => !['stored', 'NOT_FOUND', 'INTEGRITY'].includes(each)),
  ).toEqual([])
})

/** A client that does not come to the end. */
function withoutEnd(uploads: Uploads): Uploads {
  return {
    append: uploads.append.bind(uploads),
    status: uploads.status.bind(uploads),
    begin: uploads.begin.bind(uploads),
    cancel: uploads.cancel.bind(uploads),
    putBlob: uploads.putBlob.bind(uploads),
    finish: () => Promise.resolve({ kind: 'stored' }),
  }
}
