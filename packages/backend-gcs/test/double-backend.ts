import type { RetryPolicy } from '@s3lo/core/transfer'
import type { Access } from '../src/access.ts'
import { type GcsBackend, gcsBackend, type GcsBackendOptions } from '../src/index.ts'
import { keySigner } from '../src/signer.ts'
import type { GcsDouble } from './gcs-double.ts'
import { makeAccount } from './test-account.ts'

export const ACCOUNT = makeAccount()
export const ACCOUNTS = new Map([[ACCOUNT.email, ACCOUNT.publicKey]])
const signer = keySigner(ACCOUNT.file)

/** A backend on a double that counts as Google itself: nothing is proven first. */
export function backendOn(
  double: Pick<GcsDouble, 'url'>,
  bucket: string,
  options: GcsBackendOptions & { readonly access?: Partial<Access> } = {},
): GcsBackend {
  const endpoint = {
    origin: double.url,
    isGoogle: true,
    isAnonymous: false,
    universe: 'googleapis.com',
  }
  const access: Access = {
    identity: 'tester',
    headers: async () => ({ authorization: 'Bearer good' }),
    signer,
    ...options.access,
  }
  const retry: Partial<RetryPolicy> = { delay: async () => {}, ...options.retry }
  return gcsBackend(bucket, endpoint, access, { ...options, retry })
}

/** The error that a promise rejects with. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ code?: string; hint?: string; message: string }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not fail')
}

export async function textOf(backend: GcsBackend, key: string): Promise<string> {
  return String(await bytesIn(backend, key))
}

export async function bytesIn(backend: GcsBackend, key: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  const { body } = await backend.get(key)
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function keysOf(infos: AsyncIterable<{ readonly key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of infos) keys.push(key)
  return keys
}
