import { randomUUID } from 'node:crypto'
import { describeBackend } from '@s3lo/backend-conformance'
import { afterAll, beforeAll } from 'vitest'
import { keySigner } from '../src/signer.ts'
import type { Access } from '../src/access.ts'
import { resolveEndpoint } from '../src/endpoint.ts'
import { type GcsBackend, gcsBackend } from '../src/gcs-backend.ts'
import { GcsDouble } from './gcs-double.ts'
import { makeAccount } from './test-account.ts'

const account = makeAccount()
const signer = keySigner(account.file)
let double: GcsDouble
let closed: GcsDouble

beforeAll(async () => {
  const accounts = new Map([[account.email, account.publicKey]])
  const tokens = new Map([['good', 'write'] as const])
  // Copies take several calls.
  double = await GcsDouble.start({ accounts, tokens, rewriteBytes: 1024 * 1024 })
  closed = await GcsDouble.start()
  await closed.close()
})
afterAll(() => double.close())

const access = (token: string, canSign: boolean): Access => ({
  identity: token,
  headers: async () => ({ authorization: `Bearer ${token}` }),
  signer: canSign ? signer : undefined,
})

for (const canSign of [true, false]) {
  const open = (bucket: string, token = 'good'): GcsBackend => {
    const endpoint = resolveEndpoint({ env: {}, endpoint: double.url })
    // As Google's own endpoint, where nothing is tried out; `gcs-backend.test.ts` has one that is.
    return gcsBackend(bucket, endpoint, access(token, canSign), { trustEndpoint: true })
  }
  describeBackend(`backend-gcs with credentials that can ${canSign ? '' : 'not '}sign`, {
    open: async () => {
      const bucket = randomUUID()
      double.makeBucket(bucket)
      return open(bucket)
    },
    openAgain: async ({ bucket }) => open(bucket),
    openDenied: async () => open('denied', 'bad'),
  })
}
