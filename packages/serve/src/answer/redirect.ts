import { S3loError, type StorageBackend, supports } from '@s3lo/core/plugin'
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
}

/** Hosts of clouds' own endpoints, which are the same from everywhere. */
const CLOUDS =
  /(?:^|\.)(?:amazonaws\.com(?:\.cn)?|storage\.googleapis\.com|blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net))$/

/** Throws `USAGE` where the store cannot sign addresses and it is asked for always. */
export function assertRedirects(backend: StorageBackend, mode: RedirectMode): void {
  if (mode !== 'always' || supports(backend, 'presignGet')) return
  throw new S3loError('USAGE', `${backend.scheme}:// cannot redirect clients`, {
    hint: 'leave --redirect out: blobs are sent by this server',
  })
}

/** The answer that sends a client to a blob's object; `undefined` where this server sends the bytes. */
export async function redirectTo(
  backend: StorageBackend,
  key: string,
  { mode, expiresInSeconds }: RedirectOptions,
  headers: AnswerHeaders,
): Promise<Answer | undefined> {
  if (mode === 'never' || !supports(backend, 'presignGet')) return undefined
  const url = await backend.presignGet(key, { expiresInSeconds })
  const isCloud = url.protocol === 'https:' && CLOUDS.test(url.hostname)
  if (mode === 'auto' && !isCloud) return undefined
  return { status: 307, headers: { ...headers, location: url.href, 'cache-control': 'no-store' } }
}
