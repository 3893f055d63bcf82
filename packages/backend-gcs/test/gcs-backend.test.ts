import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ACCOUNTS, backendOn, failureOf, keysOf, textOf } from './double-backend.ts'
import { GcsDouble } from './gcs-double.ts'
import { openBackend } from '../src/index.ts'
import { keySigner } from '../src/signer.ts'
import { makeAccount } from './test-account.ts'

const absent = { condition: { kind: 'absent' } } as const
const tomorrow = new Date(Date.now() + 86_400_000)
const CHUNK = 256 * 1024
const large = Buffer.alloc(2 * CHUNK + 1, 'x')

let double: GcsDouble
/** Milliseconds that the service's clock is ahead of ours. */
let skewMs = 0
beforeAll(async () => {
  const tokens = new Map([
    ['good', 'write'],
    ['reader', 'read'],
    ['no one', 'nothing'],
  ] as const)
  const now = (): number => Date.now() + skewMs
  double = await GcsDouble.start({ accounts: ACCOUNTS, tokens, now })
})
afterAll(() => double.close())
afterEach(() => {
  skewMs = 0
})

let buckets = 0
function newBucket(settings?: Record<string, unknown>): string {
  buckets += 1
  double.makeBucket(`bucket-${buckets}`, settings)
  return `bucket-${buckets}`
}

const withToken = (token: string) => ({
  access: { headers: async () => ({ authorization: `Bearer ${token}` }), signer: undefined },
})

describe('a write whose answer was lost', () => {
  it("is a CONFLICT when the object is another client's, however it was written", async () => {
    const cases = [
      { body: Buffer.from('mine'), options: absent, lost: 1 },
      { body: Buffer.from('mine'), options: { ...absent, notAfter: tomorrow }, lost: 1 },
      { body: large, options: absent, lost: 4 },
    ]
    for (const { body, options, lost } of cases) {
      const bucket = newBucket()
      const other = backendOn(double, bucket)
      const delay = async (): Promise<void> => {
        await other.put('key', Buffer.from('theirs'))
      }
      const backend = backendOn(double, bucket, { partBytes: CHUNK, retry: { delay } })
      double.spoil([lost, { kind: 'reset' }])
      expect((await failureOf(backend.put('key', body, options))).code).toBe('CONFLICT')
      expect(await textOf(other, 'key')).toBe('theirs')
    }
  })

  it('is not looked for when no attempt was lost', async () => {
    const backend = backendOn(double, newBucket())
    await backend.put('key', Buffer.from('theirs'))
    double.spoil()
    expect((await failureOf(backend.put('key', Buffer.from('x'), absent))).code).toBe('CONFLICT')
    expect(double.requests).toHaveLength(1)
  })

  it('is not called a conflict when the object cannot be looked up', async () => {
    const backend = backendOn(double, newBucket())
    double.spoil([1, { kind: 'lost reply' }], [3, { kind: 'status', status: 403 }])
    expect((await failureOf(backend.put('key', Buffer.from('x'), absent))).code).toBe('FORBIDDEN')
  })

  it('in chunks is told by the upload itself', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    double.spoil([4, { kind: 'lost reply' }])
    const { size } = await backend.put('key', large, absent)
    expect(size).toBe(large.length)
    const status = double.requests.at(-1)
    expect([status?.headers['content-range'], status?.headers['content-length']]).toEqual([
      `bytes */${large.length}`,
      '0',
    ])
  })
})

describe('an upload in chunks', () => {
  it('continues after a torn chunk from what the service has', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: 4 * CHUNK })
    const content = Buffer.alloc(5 * CHUNK, 'y')
    double.spoil([2, { kind: 'torn upload' }])
    await backend.put('key', content)
    const ranges = double.requests.map(({ headers }) => headers['content-range'])
    expect(ranges).toEqual([
      undefined,
      `bytes 0-${4 * CHUNK - 1}/*`,
      'bytes */*',
      `bytes ${2 * CHUNK}-${4 * CHUNK - 1}/*`,
      `bytes ${4 * CHUNK}-${5 * CHUNK - 1}/${5 * CHUNK}`,
    ])
  })

  it('sends its token to the service, and none with the chunks', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    double.spoil()
    await backend.put('key', large)
    const tokens = double.requests.map(({ headers }) => headers.authorization)
    expect(tokens).toEqual(['Bearer good', undefined, undefined, undefined])
  })

  it('is cancelled when its body fails or the call is aborted', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    const before = double.openSessions
    const reason = new Error('the source broke')
    const failing = Readable.from(
      (async function* () {
        yield large
        await Promise.reject(reason)
      })(),
    )
    await expect(backend.put('key', failing)).rejects.toBe(reason)
    const controller = new AbortController()
    const endless = new Readable({ read: () => {} })
    endless.push(large)
    const put = backend.put('key', endless, { signal: controller.signal })
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    await expect(put).rejects.toBe(reason)
    expect(double.openSessions).toBe(before)
    expect(await backend.head('key')).toBeUndefined()
  })

  it('that the service has forgotten is UNAVAILABLE, and no missing object', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    double.spoil([3, { kind: 'status', status: 410 }])
    expect((await failureOf(backend.put('key', large))).code).toBe('UNAVAILABLE')
    double.spoil([3, { kind: 'status', status: 404 }])
    expect((await failureOf(backend.put('key', large))).code).toBe('UNAVAILABLE')
  })

  it('with a deadline is UNSUPPORTED, and nothing is written', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    const error = await failureOf(backend.put('key', large, { notAfter: tomorrow }))
    expect(error.code).toBe('UNSUPPORTED')
    expect(await backend.head('key')).toBeUndefined()
  })
})

describe('reading', () => {
  it('resumes after a break, of the same generation', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK })
    await backend.put('key', large)
    double.spoil([1, { kind: 'truncated' }])
    expect(await textOf(backend, 'key')).toBe(large.toString())
    const generations = double.requests.map(({ url }) => /generation=\d+/.test(url))
    expect(generations).toEqual([false, ...generations.slice(1).map(() => true)])
    expect(generations.length).toBeGreaterThan(3)
  })

  it('of an object that is replaced meanwhile fails, and mixes nothing', async () => {
    const backend = backendOn(double, newBucket(), { partBytes: CHUNK, parallelParts: 0 })
    await backend.put('key', large)
    const { body } = await backend.get('key')
    await backend.put('key', Buffer.alloc(large.length, 'z'))
    const reading = (async () => {
      for await (const chunk of body as AsyncIterable<Buffer>)
        expect(chunk.includes('z')).toBe(false)
    })()
    expect((await failureOf(reading)).code).toBe('CONFLICT')
  })
})

describe('credentials', () => {
  it('that may only read are enough for every read, and one clear error for a write', async () => {
    const bucket = newBucket()
    await backendOn(double, bucket).put('a/key', Buffer.from('x'))
    const reader = backendOn(double, bucket, withToken('reader'))
    expect(await textOf(reader, 'a/key')).toBe('x')
    expect(await reader.head('missing')).toBeUndefined()
    expect(await keysOf(reader.list(''))).toEqual(['a/key'])
    for await (const prefix of reader.listPrefixes('')) expect(prefix).toBe('a/')
    const error = await failureOf(reader.put('b', Buffer.from('x')))
    expect([error.code, error.hint]).toEqual(['FORBIDDEN', expect.stringMatching(/objectUser/)])
    expect(await reader.delete(['a/key'])).toMatchObject([{ error: { code: 'FORBIDDEN' } }])
    await expect(reader.touch('a/key')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    for await (const { severity } of reader.diagnose()) expect(severity).toBe('notice')
  })

  it('that are wrong are UNAUTHORIZED', async () => {
    const backend = backendOn(double, newBucket(), withToken('wrong'))
    const { code, hint } = await failureOf(backend.head('key'))
    expect([code, hint]).toEqual(['UNAUTHORIZED', expect.stringMatching(/gcloud auth/)])
  })

  it('are not in an error, however deep one looks', async () => {
    const bucket = newBucket()
    const stranger = keySigner(makeAccount().file)
    const backends = [
      backendOn(double, bucket, withToken('SECRET')),
      backendOn(double, bucket, { access: { signer: stranger } }),
    ]
    for (const backend of backends) {
      const options = backend.guarantees.deadlines ? { notAfter: tomorrow } : {}
      const error = await failureOf(backend.put('key', Buffer.from('x'), options))
      const text = inspect(error, { depth: 20, showHidden: true })
      expect(text).toMatch(/UNAUTHORIZED/)
      expect(text).not.toMatch(/SECRET|X-Goog-Signature|Bearer|PRIVATE KEY/i)
    }
  })

  it('that sign with a key that was deleted are UNAUTHORIZED', async () => {
    const access = { signer: keySigner(makeAccount().file) }
    const backend = backendOn(double, newBucket(), { access })
    const error = await failureOf(backend.put('key', Buffer.from('x'), { notAfter: tomorrow }))
    expect(error.code).toBe('UNAUTHORIZED')
  })

  it('are not to blame for a clock that is wrong', async () => {
    const backend = backendOn(double, newBucket())
    skewMs = -3_600_000
    const error = await failureOf(backend.put('key', Buffer.from('x'), { notAfter: tomorrow }))
    expect([error.code, error.hint]).toEqual([
      'UNAUTHORIZED',
      expect.stringMatching(/clock is 60 minutes off/),
    ])
  })

  it('sign so that a clock that is some minutes fast or slow does no harm', async () => {
    const backend = backendOn(double, newBucket())
    for (const minutes of [-14, 14]) {
      skewMs = minutes * 60_000
      await backend.put('key', Buffer.from('x'), { notAfter: tomorrow })
    }
  })
})

describe('a deadline', () => {
  it('is judged by the clock of the service, not by ours', async () => {
    const backend = backendOn(double, newBucket())
    const soon = new Date(Date.now() + 60_000)
    skewMs = 120_000
    expect((await failureOf(backend.put('key', Buffer.from('x'), { notAfter: soon }))).code).toBe(
      'FORBIDDEN',
    )
    skewMs = -120_000
    const past = new Date(Date.now() - 60_000)
    await backend.put('key', Buffer.from('x'), { notAfter: past })
    expect(await backend.delete(['key'], { notAfter: past })).toEqual([])
  })

  it('further than a signature may last counts as the longest one', async () => {
    const backend = backendOn(double, newBucket())
    await backend.put('key', Buffer.from('x'), { notAfter: new Date('2100-01-01') })
    expect(await textOf(backend, 'key')).toBe('x')
  })

  it('of a presigned URL ends it', async () => {
    const backend = backendOn(double, newBucket())
    await backend.put('a b+c/ü', Buffer.from('x'))
    const url = await backend.presignGet?.('a b+c/ü', { expiresInSeconds: 60 })
    expect((await fetch(url!)).status).toBe(200)
    skewMs = 61_000
    expect((await fetch(url!)).status).toBe(400)
    for (const expiresInSeconds of [0, -1, Number.NaN, 8 * 86_400]) {
      const error = await failureOf(backend.presignGet!('key', { expiresInSeconds }))
      expect(error.code).toBe('USAGE')
    }
  })
})

describe('a bucket', () => {
  it('that does not exist is an error of every method, and never an empty one', async () => {
    const backend = backendOn(double, 'no-such-bucket')
    const calls = [
      () => backend.head('key'),
      () => backend.get('key'),
      () => backend.put('key', Buffer.from('x')),
      () => backend.put('key', Buffer.from('x'), { notAfter: tomorrow }),
      () => backend.put('key', Buffer.alloc(9 * 1024 * 1024)),
      () => backend.touch('key'),
      () => backend.copyFrom(backend, 'key', 'copy'),
      () => backend.list('')[Symbol.asyncIterator]().next(),
      () => backend.listPrefixes('')[Symbol.asyncIterator]().next(),
      () => backend.diagnose()[Symbol.asyncIterator]().next(),
    ]
    for (const call of calls) {
      const { code, message } = await failureOf(call())
      expect([code, message]).toEqual(['NOT_FOUND', expect.stringMatching(/bucket does not exist/)])
    }
    expect(await backend.delete(['key'])).toMatchObject([{ error: { code: 'NOT_FOUND' } }])
    expect(await backend.delete(['key'], { notAfter: tomorrow })).toMatchObject([
      { error: { code: 'NOT_FOUND' } },
    ])
  })

  it('is asked for once, and only until it has answered', async () => {
    const backend = backendOn(double, newBucket())
    double.spoil()
    for (const key of ['a', 'b', 'c']) expect(await backend.head(key)).toBeUndefined()
    expect(double.requests).toHaveLength(4)
  })

  it('that retains its objects is FORBIDDEN to change, and says why', async () => {
    const bucket = newBucket({ retentionPolicy: { retentionPeriod: '86400' } })
    const backend = backendOn(double, bucket)
    await backend.put('key', Buffer.from('x'))
    const { code, message } = await failureOf(backend.put('key', Buffer.from('y')))
    expect([code, message]).toEqual(['FORBIDDEN', expect.stringMatching(/retention policy/)])
    expect(await backend.delete(['key'])).toMatchObject([{ error: { code: 'FORBIDDEN' } }])
  })

  it('whose requester pays wants to know the project, and gets it', async () => {
    const bucket = newBucket({ billing: { requesterPays: true } })
    const { code, hint } = await failureOf(backendOn(double, bucket).head('key'))
    expect([code, hint]).toEqual(['FORBIDDEN', expect.stringMatching(/GOOGLE_CLOUD_QUOTA_PROJECT/)])
    const payer = backendOn(double, bucket, { access: { userProject: 'payer' } })
    await payer.put('key', Buffer.from('x'))
    await payer.put('key', Buffer.from('y'), { notAfter: tomorrow })
    expect(await textOf(payer, 'key')).toBe('y')
  })

  it('is told about: what costs money, and what destroys images', async () => {
    const bucket = newBucket({
      versioning: { enabled: true },
      softDeletePolicy: { retentionDurationSeconds: '604800' },
      retentionPolicy: { retentionPeriod: '86400', isLocked: true },
      lifecycle: {
        rule: [
          { action: { type: 'Delete' }, condition: { age: 30 } },
          { action: { type: 'Delete' }, condition: { numNewerVersions: 3 } },
          { action: { type: 'AbortIncompleteMultipartUpload' }, condition: { age: 1 } },
        ],
      },
      iamConfiguration: { uniformBucketLevelAccess: { enabled: false } },
      billing: { requesterPays: true },
      storageClass: 'COLDLINE',
      defaultEventBasedHold: true,
    })
    const backend = backendOn(double, bucket, { access: { userProject: 'payer' } })
    const found: string[] = []
    for await (const { severity, message } of backend.diagnose())
      found.push(`${severity} ${message}`)
    expect(found).toMatchInlineSnapshot(`
      [
        "notice versioning is on: what is deleted or replaced is kept as an old version, and billed",
        "notice soft delete is on: what is deleted or replaced is kept for 7 days, and billed",
        "problem a locked retention policy keeps every object for 1 days: tags cannot be moved or deleted meanwhile",
        "problem every new object is put on hold: tags cannot be moved or deleted",
        "problem a lifecycle rule deletes objects by their age: it destroys images that are still tagged",
        "notice uniform bucket-level access is off: single objects may be readable by others",
        "notice the bucket's storage class is COLDLINE, which charges for reads and for early deletion",
        "notice the requester pays: everybody who pulls names a project in GOOGLE_CLOUD_QUOTA_PROJECT",
      ]
    `)
  })

  it('in good order is not remarked on', async () => {
    const settings = { iamConfiguration: { uniformBucketLevelAccess: { enabled: true } } }
    const findings = backendOn(double, newBucket(settings)).diagnose()
    expect((await findings[Symbol.asyncIterator]().next()).done).toBe(true)
  })
})

describe('a copy', () => {
  it('is made by the service between buckets of the same credentials only', async () => {
    const from = backendOn(double, newBucket())
    await from.put('key', Buffer.from('x'))
    const to = backendOn(double, newBucket())
    double.spoil()
    expect((await to.copyFrom(from, 'key', 'copy'))?.key).toBe('copy')
    expect(double.seen).toEqual([
      expect.stringMatching(/^POST .*\/o\/key\/rewriteTo\/b\/bucket-\d+\/o\/copy$/),
    ])
    const stranger = backendOn(double, newBucket(), { access: { identity: 'another' } })
    expect(await stranger.copyFrom(from, 'key', 'copy')).toBeUndefined()
  })
})

describe('keys, conditions and media types that the service would misread', () => {
  it('are refused before they are sent', async () => {
    const backend = backendOn(double, newBucket())
    double.spoil()
    for (const key of ['', 'a/../b', './a', 'a\nb', '\ud800', 'x'.repeat(1025)]) {
      expect((await failureOf(backend.head(key))).code).toBe('INVALID_REFERENCE')
      expect((await failureOf(backend.put(key, Buffer.from('x')))).code).toBe('INVALID_REFERENCE')
    }
    for (const etag of ['', '0', 'abc', '1e3', '-1']) {
      const put = backend.put('key', Buffer.from('x'), { condition: { kind: 'unchanged', etag } })
      expect((await failureOf(put)).code).toBe('CONFLICT')
    }
    for (const mediaType of ['', 'a\r\nb: c', 'ü', ' a', 'x'.repeat(300)]) {
      const put = backend.put('key', Buffer.from('x'), { mediaType })
      expect((await failureOf(put)).code).toBe('USAGE')
    }
    expect(double.requests).toEqual([])
  })
})

describe('a service that is not Google', () => {
  it('is tried out before the first conditional write', async () => {
    const env = { STORAGE_EMULATOR_HOST: double.url }
    const bucket = newBucket()
    const withAnonymous = await GcsDouble.start()
    withAnonymous.makeBucket(bucket)
    try {
      const location = { scheme: 'gs', bucket }
      const backend = await openBackend(location, { env, endpoint: withAnonymous.url })
      await backend.put('plain', Buffer.from('x'))
      expect(withAnonymous.requests).toHaveLength(1)
      expect((await failureOf(backend.put('key', Buffer.from('x'), absent))).code).toBe(
        'UNSUPPORTED',
      )
      expect(await backend.proveGuarantees()).toEqual({
        createOnly: true,
        compareAndSwap: true,
        // Nothing signs without credentials.
        deadlines: false,
      })
      await backend.put('key', Buffer.from('x'), absent)
      const probes = withAnonymous.requests.length
      expect(probes).toBeGreaterThan(40)
      await backend.put('key2', Buffer.from('x'), absent)
      expect(withAnonymous.requests).toHaveLength(probes + 1)
      expect(await keysOf(backend.list(''))).toEqual(['key', 'key2', 'plain'])
    } finally {
      await withAnonymous.close()
    }
  })

  it('that ignores conditions is UNSUPPORTED for tags, and nothing is written', async () => {
    const careless = await GcsDouble.start({ ignoresConditions: true })
    try {
      careless.makeBucket('bucket')
      const env = { STORAGE_EMULATOR_HOST: careless.url }
      const backend = await openBackend({ scheme: 'gs', bucket: 'bucket' }, { env })
      expect(await backend.proveGuarantees()).toMatchObject({
        createOnly: false,
        compareAndSwap: false,
      })
      const error = await failureOf(backend.put('key', Buffer.from('x'), absent))
      expect(error.code).toBe('UNSUPPORTED')
      expect(await keysOf(backend.list(''))).toEqual([])
    } finally {
      await careless.close()
    }
  })
})
