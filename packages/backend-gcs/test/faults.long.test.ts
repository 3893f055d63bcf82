import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GcsBackend } from '../src/index.ts'
import { ACCOUNTS, backendOn, bytesIn, failureOf, keysOf } from './double-backend.ts'
import { type Fault, GcsDouble } from './gcs-double.ts'

const CHUNK = 256 * 1024
const content = Buffer.from(Array.from({ length: 3 * CHUNK + 1000 }, (_, index) => index % 251))
const small = content.subarray(0, 1000)
const absent = { condition: { kind: 'absent' } } as const
const tomorrow = new Date(Date.now() + 86_400_000)

let double: GcsDouble
let backend: GcsBackend
beforeAll(async () => {
  double = await GcsDouble.start({ accounts: ACCOUNTS, rewriteBytes: CHUNK })
  double.makeBucket('bucket')
  // Small parts, and all of them one after the other, so that the n-th request is the same one.
  backend = backendOn(double, 'bucket', {
    partBytes: CHUNK,
    parallelParts: 0,
    retry: { stallMs: 300 },
  })
})
afterAll(() => double.close())

const CALLS: Readonly<Record<string, () => Promise<unknown>>> = {
  'a stream is created once': async () => {
    await backend.put('key', Readable.from([content]), { ...absent, size: content.length })
    await expectContent('key', content)
  },
  'a stream of unknown length is stored': async () => {
    await backend.put('key', Readable.from([content]))
    await expectContent('key', content)
  },
  'bytes are created once': async () => {
    await backend.put('key', small, absent)
    await expectContent('key', small)
  },
  'bytes are created in time': async () => {
    await backend.put('key', small, { ...absent, notAfter: tomorrow })
    await expectContent('key', small)
  },
  'bytes are swapped': async () => {
    const { etag } = await backend.put('key', small)
    const condition = { kind: 'unchanged', etag } as const
    await backend.put('key', small.subarray(1), { condition })
    await expectContent('key', small.subarray(1))
  },
  'large bytes are swapped': async () => {
    const { etag } = await backend.put('key', small)
    await backend.put('key', content, { condition: { kind: 'unchanged', etag } })
    expect((await backend.head('key'))?.size).toBe(content.length)
  },
  'an object is copied, touched and listed': async () => {
    await backend.put('key', content)
    await backend.copyFrom(backend, 'key', 'copy')
    await backend.touch('copy')
    expect(await keysOf(backend.list(''))).toEqual(['copy', 'key'])
    await expectContent('copy', content)
  },
  'objects are deleted, with and without a deadline': async () => {
    await backend.put('key', small)
    await backend.put('copy', small)
    expect(await backend.delete(['copy'], { notAfter: tomorrow })).toEqual([])
    expect(await backend.delete(['key'])).toEqual([])
    expect(await keysOf(backend.list(''))).toEqual([])
  },
}

const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'status', status: 429, headers: { 'retry-after': '3' } },
  { kind: 'reset' },
  { kind: 'lost reply' },
  { kind: 'truncated' },
  { kind: 'torn upload' },
  { kind: 'short chunk' },
  { kind: 'page' },
  { kind: 'nothing' },
]

describe('one spoiled request', () => {
  let runs = 0
  afterAll(() => process.stderr.write(`backend-gcs: ${runs} faults survived\n`))

  it.each(Object.entries(CALLS))('of any kind, at any place: %s', async (_title, call) => {
    const requests = await countRequests(call)
    for (const fault of FAULTS) {
      for (let nth = 1; nth <= requests; nth += 1) {
        double.spoil([nth, fault])
        await call().catch((error: unknown) => {
          throw new Error(`${JSON.stringify(fault)} at ${nth} of ${requests}`, { cause: error })
        })
        await reset()
        runs += 1
      }
    }
  })

  it('that is never answered is given up and sent again', async () => {
    const call = CALLS['a stream is created once']!
    const requests = await countRequests(call)
    for (let nth = 1; nth <= requests; nth += 1) {
      double.spoil([nth, { kind: 'stall' }])
      await call()
      await reset()
      runs += 1
    }
  })

  it.each([400, 401, 403, 501])('that is refused with %i is one clear error', async (status) => {
    for (const call of Object.values(CALLS)) {
      const requests = await countRequests(call)
      for (let nth = 1; nth <= requests; nth += 1) {
        double.spoil([nth, { kind: 'status', status }])
        const error = await failureOf(call())
        if (error.code === undefined) expect(error.message).toMatch(/expected \[ \{ key/)
        else expect(error.code).toMatch(/^(UNSUPPORTED|UNAUTHORIZED|FORBIDDEN)$/)
        await reset()
        runs += 1
      }
    }
  })
})

describe('damage on the way', () => {
  it('to a small object is noticed by the service, and the object sent again', async () => {
    for (const options of [{}, absent, { notAfter: tomorrow }]) {
      double.spoil([1, { kind: 'bit flip' }])
      await backend.put('key', small, options)
      await expectContent('key', small)
      await reset()
    }
  })

  it('to a large object is INTEGRITY, and leaves no object', async () => {
    for (const nth of [2, 3, 4, 5]) {
      double.spoil([nth, { kind: 'bit flip' }])
      expect((await failureOf(backend.put('key', content))).code).toBe('INTEGRITY')
      expect(await backend.head('key')).toBeUndefined()
    }
  })
})

async function countRequests(call: () => Promise<unknown>): Promise<number> {
  double.spoil()
  await call()
  const count = double.requests.length
  await reset()
  return count
}

async function reset(): Promise<void> {
  double.spoil()
  await backend.delete(['key', 'copy'])
}

async function expectContent(key: string, expected: Uint8Array): Promise<void> {
  expect((await bytesIn(backend, key)).equals(expected)).toBe(true)
}
