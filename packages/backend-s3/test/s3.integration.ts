import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeBackend, describeFaults } from '@s3lo/backend-conformance'
import type { StorageBackend } from '@s3lo/core'
import { afterAll, describe, expect, it } from 'vitest'
import { type S3Backend, s3Backend } from '../src/index.ts'
import {
  awsCertificate,
  clientOf,
  leadToLoopback,
  makeBucket,
  removeBucket,
  requiredServer,
  type S3Server,
} from './s3-server.ts'

const cache = mkdtempSync(join(tmpdir(), 's3lo-s3-cache-'))
afterAll(() => rmSync(cache, { recursive: true }))

const strict = requiredServer('s3', 'integration/start-s3.sh')
if (strict) testAgainst('backend-s3 on Ceph RGW', strict, { withFaults: true })
else it.skip('an S3 service is not there', () => {})

const weak = requiredServer('swift', 'integration/start-s3.sh')
// Swift is so slow that its matrix would take minutes; Ceph shows the same.
if (weak) testAgainst('backend-s3 on Swift', weak, { withFaults: false, isWeak: true })
else it.skip('a weak S3 service is not there', () => {})

// Built from its sources, which takes minutes: it is there at night.
const aws = requiredServer('aws', 'S3LO_TEST_NIGHTLY=1 integration/start-aws.sh')
if (aws) {
  describe('at the addresses of AWS', () => {
    const { restore } = leadToLoopback(/\.amazonaws\.com$/, awsCertificate())
    afterAll(restore)
    testAgainst('backend-s3 on versitygw', aws, { withFaults: false, keepsDates: true })
  })
} else it.skip('what answers as AWS is not there', () => {})

/** How a service is tested. */
interface Extent {
  readonly withFaults: boolean
  /** An object that is copied onto itself is as old as before. */
  readonly keepsDates?: boolean
  /** Lets several writers win at times: it is tested as what it is once that has shown. */
  readonly isWeak?: boolean
}

function testAgainst(name: string, server: S3Server, extent: Extent): void {
  const { withFaults, isWeak = false, keepsDates = false } = extent
  const client = clientOf(server)
  const env = {
    AWS_ACCESS_KEY_ID: server.key,
    AWS_SECRET_ACCESS_KEY: server.secret,
    XDG_CACHE_HOME: cache,
  }
  const open = (bucket: string, endpoint = server.endpoint, options = {}): S3Backend => {
    const backend = s3Backend(bucket, { env, endpoint, ...options })
    if (keepsDates) Object.defineProperty(backend, 'touch', { value: undefined })
    return backend
  }
  /** Empty ones are used again: what they guarantee is known already. */
  const free: string[] = []
  const newBucket = async (): Promise<string> => {
    const used = free.pop()
    if (used !== undefined) return used
    const bucket = `s3lo-${randomUUID()}`
    await makeBucket(client, bucket)
    return bucket
  }
  afterAll(async () => {
    for (const bucket of free) await removeBucket(client, bucket)
  })
  const destroy = async (bucket: string): Promise<void> => {
    const backend = open(bucket)
    const keys: string[] = []
    for await (const { key } of backend.list('')) keys.push(key)
    await backend.delete(keys)
    for await (const upload of backend.abandonedUploads()) await backend.abortUpload(upload)
    await backend.close()
    free.push(bucket)
  }

  describeBackend(name, {
    open: async () => {
      const bucket = await newBucket()
      for (let look = 1; ; look++) {
        const backend = open(bucket)
        if (!isWeak || look === 10 || !(await backend.proveGuarantees()).createOnly) return backend
        await backend.close()
        // The proof was luck, and is forgotten.
        rmSync(join(cache, 's3lo'), { recursive: true, force: true })
      }
    },
    openAgain: async ({ bucket }) => open(bucket),
    openDenied: async () =>
      s3Backend('denied', {
        env: { ...env, AWS_SECRET_ACCESS_KEY: 'another' },
        endpoint: server.endpoint,
      }),
    destroy: ({ bucket }: StorageBackend) => destroy(bucket),
  })

  if (withFaults) {
    describeFaults(name, {
      endpoint: server.endpoint,
      makeBucket: newBucket,
      open: async (endpoint, bucket) =>
        open(bucket, endpoint, {
          retry: { delay: async () => {}, stallMs: 5000, attempts: 3 },
        }),
      destroy,
      kinds: ['503', 'reset-after', 'truncated', 'bit-flip-up', 'page', 'nothing', 'cut'],
      // The product has six times as many runs.
      extent: process.env['S3LO_TEST_NIGHTLY'] === undefined ? 'rotation' : 'product',
      // More than the 1000 of a page.
      listed: 1003,
    })
  }

  describe(`${name}: a bucket`, () => {
    it('that does not exist is an error of every method, and never an empty one', async () => {
      const backend = open(`s3lo-${randomUUID()}`)
      const calls = [
        () => backend.head('key'),
        () => backend.get('key'),
        () => backend.put('key', Buffer.from('x')),
        () => backend.list('')[Symbol.asyncIterator]().next(),
        () => backend.listPrefixes('')[Symbol.asyncIterator]().next(),
      ]
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await backend.delete(['key'])).toMatchObject([{ error: { code: 'NOT_FOUND' } }])
    })
  })
}
