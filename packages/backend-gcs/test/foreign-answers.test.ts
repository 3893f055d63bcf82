import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { GcsBackend } from '../src/index.ts'
import { ACCOUNTS, backendOn, failureOf, keysOf, textOf } from './double-backend.ts'
import { type Fault, GcsDouble } from './gcs-double.ts'

const tomorrow = new Date(Date.now() + 86_400_000)
/** A listing of it has a page for each of its objects. */
const KEYS = ['a/1', 'a/2', 'b/1']

let double: GcsDouble
let backend: GcsBackend
beforeAll(async () => {
  double = await GcsDouble.start({ accounts: ACCOUNTS, pageSize: 1 })
})
afterAll(() => double.close())
beforeEach(async () => {
  double.spoil()
  double.makeBucket('bucket')
  backend = backendOn(double, 'bucket', { partBytes: 256 * 1024 })
  for (const key of KEYS) await backend.put(key, Buffer.from(key))
  double.spoil()
})

const VERBS: Readonly<Record<string, () => Promise<unknown>>> = {
  head: async () => (await backend.head('a/1'))?.size,
  'head of what is missing': () => backend.head('c'),
  get: () => textOf(backend, 'a/1'),
  put: async () => {
    await backend.put('new', Buffer.from('new'), { condition: { kind: 'absent' } })
    return textOf(backend, 'new')
  },
  'put in time': async () => {
    await backend.put('new', Buffer.from('new'), { notAfter: tomorrow })
    return textOf(backend, 'new')
  },
  'put in chunks': async () => {
    await backend.put('new', Buffer.alloc(600_000, 'n'))
    return (await backend.head('new'))?.size
  },
  list: () => keysOf(backend.list('')),
  listPrefixes: () => Array.fromAsync(backend.listPrefixes('')),
  copyFrom: async () => {
    await backend.copyFrom(backend, 'a/1', 'copy')
    return textOf(backend, 'copy')
  },
  touch: async () => (await backend.touch('a/1')).key,
  delete: async () => [await backend.delete(['a/1']), await backend.head('a/1')],
  'delete in time': async () => [
    await backend.delete(['a/1'], { notAfter: tomorrow }),
    await backend.head('a/1'),
  ],
  diagnose: () => Array.fromAsync(backend.diagnose()),
}

const ENDS_WITH_CONTENT = new Set(['get', 'put', 'put in time', 'copyFrom'])

const FOREIGN: readonly Fault[] = [{ kind: 'page' }, { kind: 'nothing' }, { kind: 'cut' }]

describe.each(FOREIGN)('an answer of status 200 that is a $kind', (fault) => {
  it.each(Object.entries(VERBS))('leaves %s right, or fails it clearly', async (verb, run) => {
    const expected = await run()
    const count = double.requests.length
    for (let nth = 1; nth <= count; nth += 1) {
      double.makeBucket('bucket')
      for (const key of KEYS) await backend.put(key, Buffer.from(key))
      double.spoil([nth, fault])
      const outcome = await run().catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|INTEGRITY)$/) })
      } else if (!(fault.kind === 'cut' && ENDS_WITH_CONTENT.has(verb) && nth === count)) {
        // Half of a content is for its digest to find out.
        expect(outcome).toEqual(expected)
      }
    }
  })
})

describe('the same answer again and again', () => {
  it.each(FOREIGN)('is an error of a listing, and never an empty one: $kind', async (fault) => {
    for (const first of [1, 2, 3]) {
      double.spoil(...Array.from({ length: 20 }, (_, i) => [first + i, fault] as const))
      expect((await failureOf(keysOf(backend.list('')))).code).toBe('UNAVAILABLE')
    }
  })

  it('of a status of 404 does not say that an object is missing', async () => {
    const missing = {
      kind: 'status',
      status: 404,
      headers: { 'content-type': 'text/html' },
    } as const
    for (const call of [() => backend.head('a/1'), () => backend.get('a/1')]) {
      double.spoil(...Array.from({ length: 20 }, (_, i) => [1 + i, missing] as const))
      expect((await failureOf(call())).code).toBe('UNAVAILABLE')
    }
  })
})

describe('an object that is missing', () => {
  it('is missing by the word of the service, whose content has no form for that', async () => {
    const missing = {
      kind: 'status',
      status: 404,
      headers: { 'content-type': 'text/html' },
    } as const
    double.spoil([1, missing])
    expect((await failureOf(backend.get('c'))).code).toBe('NOT_FOUND')
    double.spoil([1, missing])
    expect(await textOf(backend, 'a/1')).toBe('a/1')
  })
})
