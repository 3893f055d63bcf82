import { isDeepStrictEqual } from 'node:util'
import { isS3loError, type StorageBackend, supports } from '@s3lo/core'
import type { FaultKind, FaultProxy } from '@s3lo/core/testing'
import { type FaultExtent, spoil, spoilingsOf, titleOf } from './spoilings.ts'

/** What is no answer although its status says so. */
const FOREIGN_KINDS = ['page', 'nothing', 'cut'] as const satisfies readonly FaultKind[]

/** What the matrix is run on. */
export interface AnswerMatrixOptions {
  /** In front of the service. */
  readonly proxy: FaultProxy
  /** The bucket through the proxy. Must not wait between attempts. */
  readonly through: StorageBackend
  /** The same bucket without the proxy. */
  readonly direct: StorageBackend
  /** Objects that are listed: more than a page of the service has, for every page to be spoiled. */
  readonly listed: number
  /** Default: `product`. */
  readonly extent?: FaultExtent | undefined
}

/** What one method went through; `undefined` for one that the backend does not have. */
export interface AnswerMatrixRow {
  readonly requests: number
  readonly runs: number
  /** Runs that were right all the same; the others ended in one clear error each. */
  readonly succeeded: number
}

/** One call of a method, whose outcome says all that the caller would learn by it. */
interface Verb {
  readonly act: (backend: StorageBackend) => Promise<unknown>
  /** The bucket as the call needs it, beside the objects that are listed. */
  readonly prepare?: (direct: StorageBackend) => Promise<unknown>
  /** What the bucket holds once the call has succeeded. */
  readonly observe?: (direct: StorageBackend) => Promise<unknown>
  readonly isThere?: (backend: StorageBackend) => boolean
}

const KEY = 'verb/key'
const TEXT = 'the content of an object'
const absent = { condition: { kind: 'absent' } } as const

export type AnswerVerb = (typeof ANSWER_VERBS)[number]

/** The methods that are tried. */
export const ANSWER_VERBS = [
  'head',
  'head of nothing',
  'get',
  'get a range',
  'put',
  'put in parts',
  'put once',
  'delete',
  'list',
  'listPrefixes',
  'copyFrom',
  'touch',
  'abandonedUploads',
  'diagnose',
] as const

const writeKey = (direct: StorageBackend): Promise<unknown> => direct.put(KEY, Buffer.from(TEXT))
const removeKey = (direct: StorageBackend): Promise<unknown> => direct.delete([KEY, `${KEY}-copy`])
const large = Buffer.alloc(300_000, 'large')

const VERBS: Readonly<Record<AnswerVerb, Verb>> = {
  head: { prepare: writeKey, act: async (backend) => sizeOf(await backend.head(KEY)) },
  'head of nothing': { act: (backend) => backend.head('verb/nothing') },
  // Half of a content is found out by its digest, not here.
  get: { prepare: writeKey, act: async (backend) => startsText(await textOf(backend, KEY)) },
  'get a range': {
    prepare: writeKey,
    act: async (backend) => startsText(await textOf(backend, KEY, { start: 4, end: 11 }), 4),
  },
  put: {
    prepare: removeKey,
    act: (backend) => backend.put(KEY, Buffer.from(TEXT)).then(sizeOf),
    observe: (direct) => textOf(direct, KEY),
  },
  'put in parts': {
    prepare: removeKey,
    act: (backend) => backend.put(KEY, large).then(sizeOf),
    observe: async (direct) => sizeOf(await direct.head(KEY)),
  },
  'put once': {
    isThere: ({ guarantees }) => guarantees.createOnly,
    prepare: removeKey,
    act: (backend) => backend.put(KEY, Buffer.from(TEXT), absent).then(sizeOf),
    observe: (direct) => textOf(direct, KEY),
  },
  delete: {
    prepare: writeKey,
    act: (backend) => throwFirst(backend.delete([KEY])),
    observe: (direct) => direct.head(KEY),
  },
  list: {
    act: async (backend) => (await Array.fromAsync(backend.list('list/'))).map(({ key }) => key),
  },
  listPrefixes: { act: (backend) => Array.fromAsync(backend.listPrefixes('list/')) },
  copyFrom: {
    isThere: (backend) => supports(backend, 'copyFrom'),
    prepare: writeKey,
    act: async (backend) => sizeOf(await backend.copyFrom?.(backend, KEY, `${KEY}-copy`)),
    observe: (direct) => textOf(direct, `${KEY}-copy`),
  },
  touch: {
    isThere: (backend) => supports(backend, 'touch'),
    prepare: writeKey,
    act: async (backend) => sizeOf(await backend.touch?.(KEY)),
    observe: (direct) => textOf(direct, KEY),
  },
  abandonedUploads: {
    isThere: (backend) => supports(backend, 'abandonedUploads'),
    act: async (backend) => {
      const uploads = await Array.fromAsync(backend.abandonedUploads?.() ?? [])
      return uploads.filter(({ key }) => !key.startsWith('verb/')).length
    },
  },
  diagnose: {
    isThere: (backend) => supports(backend, 'diagnose'),
    act: (backend) => Array.fromAsync(backend.diagnose?.() ?? []),
  },
}

/**
 * Answers every request of a method with what only its status calls an answer, one at a time and
 * then all from one on, as far as the extent says. Each run has to do what the method promises, or to end in one clear error:
 * `UNAVAILABLE`, or `INTEGRITY`. Throws for a run that did not.
 */
export async function runAnswerMatrix(
  name: AnswerVerb,
  { proxy, through, direct, listed, extent = 'product' }: AnswerMatrixOptions,
): Promise<AnswerMatrixRow | undefined> {
  const { isThere = () => true, prepare, act, observe } = VERBS[name]
  if (!isThere(through)) return undefined
  if (name.startsWith('list')) await fill(direct, listed)
  await prepare?.(direct)
  proxy.spoil()
  const expected = await act(through)
  const requests = proxy.count
  const observed = await observe?.(direct)
  const spoilings = spoilingsOf(extent, FOREIGN_KINDS, requests)
  let succeeded = 0
  for (const spoiling of spoilings) {
    await prepare?.(direct)
    spoil(proxy, spoiling)
    const title = `${name}: ${titleOf(spoiling)}`
    const outcome = await settle(act(through), title)
    proxy.spoil()
    if (outcome === undefined) continue
    succeeded += 1
    assertSame(title, outcome.value, expected)
    assertSame(`${title}, in the bucket`, await observe?.(direct), observed)
  }
  return { requests, runs: spoilings.length, succeeded }
}

/** `undefined` for a clear error; throws for any other one. */
async function settle(
  work: Promise<unknown>,
  title: string,
): Promise<{ readonly value: unknown } | undefined> {
  try {
    return { value: await work }
  } catch (error) {
    if (isS3loError(error, 'UNAVAILABLE') || isS3loError(error, 'INTEGRITY')) return undefined
    throw new Error(`${title}: expected UNAVAILABLE, got ${String(error)}`, { cause: error })
  }
}

function assertSame(title: string, got: unknown, expected: unknown): void {
  if (isDeepStrictEqual(got, expected)) return
  throw new Error(`${title}: expected ${shown(expected)}, got ${shown(got)}`)
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 200)
}

const WRITES_AT_ONCE = 16

async function fill(direct: StorageBackend, count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, i) => `list/${String(i).padStart(6, '0')}/object`)
  while (keys.length > 0) {
    const some = keys.splice(-WRITES_AT_ONCE)
    await Promise.all(some.map((key) => direct.put(key, Buffer.from(key))))
  }
}

async function textOf(
  backend: StorageBackend,
  key: string,
  range?: { readonly start: number; readonly end: number },
): Promise<string> {
  const { body } = await backend.get(key, { range })
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function startsText(text: string, from = 0): boolean {
  return text !== '' && TEXT.startsWith(text, from)
}

function sizeOf(info: { readonly size: number } | undefined): number | undefined {
  return info?.size
}

async function throwFirst(deleting: ReturnType<StorageBackend['delete']>): Promise<void> {
  for (const { error } of await deleting) throw error
}
