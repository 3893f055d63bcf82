import { randomUUID } from 'node:crypto'
import { describeBackend } from '@s3lo/backend-conformance'
import { afterAll, beforeAll } from 'vitest'
import type { Access } from '../src/access.ts'
import { resolveEndpoint } from '../src/endpoint.ts'
import { type GcsBackend, gcsBackend } from '../src/gcs-backend.ts'
import { keySigner } from '../src/signer.ts'
import { GcsDouble } from './gcs-double.ts'
import { makeAccount } from './test-account.ts'

/** Declares the contract of the backend on a double, with credentials that sign addresses or do not. */
export function describeDouble(canSign: boolean): void {
  const account = makeAccount()
  const signer = canSign ? keySigner(account.file) : undefined
  let double: GcsDouble
  beforeAll(async () => {
    const accounts = new Map([[account.email, account.publicKey]])
    const tokens = new Map([['good', 'write'] as const])
    // Copies take several calls.
    double = await GcsDouble.start({ accounts, tokens, rewriteBytes: 1024 * 1024 })
  })
  afterAll(() => double.close())

  const open = (bucket: string, token = 'good'): GcsBackend => {
    const endpoint = resolveEndpoint({ env: {}, endpoint: double.url })
    const headers = async () => ({ authorization: `Bearer ${token}` })
    const access: Access = { identity: token, headers, signer }
    // As Google's own endpoint, where nothing is tried out; `gcs-backend.test.ts` has one that is.
    return gcsBackend(bucket, endpoint, access, { trustEndpoint: true })
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
