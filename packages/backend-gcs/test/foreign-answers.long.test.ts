import { clean, ImageStore } from '@s3lo/core'
import { ANSWER_VERBS, runAnswerMatrix } from '@s3lo/backend-conformance'
import { FaultProxy, imageFixture, putImage } from '@s3lo/core/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { GcsBackend } from '../src/index.ts'
import { ACCOUNTS, backendOn, failureOf, keysOf, textOf } from './double-backend.ts'
import { type Fault, GcsDouble } from './gcs-double.ts'

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

const FOREIGN: readonly Fault[] = [{ kind: 'page' }, { kind: 'nothing' }, { kind: 'cut' }]

describe('an answer that is none, for any request', () => {
  it.each(ANSWER_VERBS)('leaves %s right, or fails it clearly', async (verb) => {
    const proxy = await FaultProxy.start(double.url)
    const options = { partBytes: 256 * 1024, retry: { attempts: 3 } }
    const through = backendOn({ url: proxy.url }, 'bucket', options)
    try {
      await runAnswerMatrix(verb, { proxy, through, direct: backend, listed: 3 })
    } finally {
      await through.close()
      await proxy.close()
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

describe('a clean without grace', () => {
  const image = imageFixture({ layers: ['a layer of a living image'] })
  const reference = { name: 'app', tag: 'v1' }

  it.each(FOREIGN)('keeps a living image, whichever answer is a $kind', async (fault) => {
    const prepare = async (): Promise<ImageStore> => {
      double.spoil()
      double.makeBucket('bucket')
      const store = new ImageStore(backend)
      await putImage(backend, reference, image)
      await backend.put(`blobs/sha256/${'0'.repeat(64)}`, Buffer.from('garbage'))
      double.spoil()
      return store
    }
    const options = { confirm: true, graceMs: 0 }
    await clean(await prepare(), '', options)
    const count = double.requests.length
    for (let nth = 1; nth <= count; nth += 1) {
      for (const length of [1, 50]) {
        const store = await prepare()
        double.spoil(...Array.from({ length }, (_, i) => [nth + i, fault] as const))
        await clean(store, '', options).catch((error: unknown) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|INTEGRITY)$/) })
        })
        double.spoil()
        const { descriptor } = (await store.find(reference)) ?? {}
        expect(descriptor?.digest).toBe(image.root.descriptor.digest)
        for (const digest of image.content.keys()) {
          expect(await backend.head(`blobs/${digest.replace(':', '/')}`)).toBeDefined()
        }
      }
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
