import { S3loError, type StorageBackend, supports } from '@s3lo/core/plugin'
import type { BlockList } from 'node:net'
import { isInNetworks } from '../request/client.ts'
import type { Answer, AnswerHeaders } from './answer.ts'

/**
 * When clients are sent to the store for the bytes of blobs. `auto`: where the store is a cloud that
 * every client can reach.
 */
export type RedirectMode = 'auto' | 'always' | 'never'

export interface RedirectOptions {
  readonly mode: RedirectMode
  /** For how long such an address is good (seconds). */
  readonly expiresInSeconds: number
  /**
   * The same store as its clients reach it, by another endpoint. It signs the addresses and gets no
   * request; with it, `auto` redirects as `always` does.
   */
  readonly signer?: StorageBackend | undefined
  /** Clients that cannot reach the store: they get the bytes from this server. */
  readonly except?: BlockList | undefined
}

/** What a redirect is for. */
export interface RedirectedObject {
  readonly key: string
  /** Of the client. */
  readonly address: string
  /** Of the answer. */
  readonly headers: AnswerHeaders
}

/** Hosts of clouds' own endpoints, which are the same from everywhere. */
const CLOUDS =
  /(?:^|\.)(?:amazonaws\.com(?:\.cn)?|storage\.googleapis\.com|blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net))$/

/** Throws `USAGE` where the store cannot sign addresses and it is asked for always, or at an endpoint. */
export function assertRedirects(
  backend: StorageBackend,
  { mode, signer }: Pick<RedirectOptions, 'mode' | 'signer'>,
): void {
  if ((mode !== 'always' && !signer) || supports(signer ?? backend, 'presignGet')) return
  throw new S3loError('USAGE', `${backend.scheme}:// cannot redirect clients`, {
    hint: 'leave --redirect and --redirect-endpoint out: blobs are sent by this server',
  })
}

/**
 * Throws `USAGE` where the store does not sign addresses at the endpoint: some signatures are only good
 * for the store's own host.
 */
export async function assertSigns(
  signer: StorageBackend,
  endpoint: string,
  { expiresInSeconds }: Pick<RedirectOptions, 'expiresInSeconds'>,
): Promise<void> {
  // Any key tells: none is looked for.
  const url = await signer.presignGet?.('key', { expiresInSeconds })
  const { protocol, host } = new URL(endpoint)
  const isThere = url?.protocol === protocol && (url.host === host || url.host.endsWith(`.${host}`))
  if (isThere) return
  throw new S3loError('USAGE', `${signer.scheme}:// does not sign addresses at ${endpoint}`, {
    hint: 'leave --redirect-endpoint out',
  })
}

/** The answer that sends a client to a blob's object; `undefined` where this server sends the bytes. */
export async function redirectTo(
  backend: StorageBackend,
  { key, address, headers }: RedirectedObject,
  { mode, expiresInSeconds, signer, except }: RedirectOptions,
): Promise<Answer | undefined> {
  const signing = signer ?? backend
  if (mode === 'never' || !supports(signing, 'presignGet')) return undefined
  if (except && isInNetworks(except, address)) return undefined
  const url = await signing.presignGet(key, { expiresInSeconds })
  const isCloud = url.protocol === 'https:' && CLOUDS.test(url.hostname)
  if (mode === 'auto' && !signer && !isCloud) return undefined
  return { status: 307, headers: { ...headers, location: url.href, 'cache-control': 'no-store' } }
}
