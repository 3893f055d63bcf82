import { createHash } from 'node:crypto'
import type { Signer } from './signer.ts'

/** A request that carries its own authority. */
export interface SignedRequestOptions {
  readonly origin: string
  readonly bucket: string
  readonly key: string
  readonly method: 'GET' | 'PUT' | 'DELETE'
  /** Have to be sent as they are; names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly userProject?: string | undefined
  /** From then on the service refuses it; in whole seconds rounded down. */
  readonly expiresAt: Date
  readonly signer: Signer
  readonly signal?: AbortSignal | undefined
}

/** The longest that a signature may hold. */
export const LONGEST_SECONDS = 7 * 24 * 3600
/**
 * A signature begins so much before now, since the service refuses one from the future: this
 * machine's clock may be fast.
 */
const BACKDATED_SECONDS = 600

/**
 * The path and query of a V4 signed URL (GOOG4-RSA-SHA256) in the XML API. A moment that is more
 * than the longest lifetime away counts as that.
 */
export async function signRequest(options: SignedRequestOptions): Promise<string> {
  const { origin, bucket, key, method, headers = {}, expiresAt, signer, userProject } = options
  const now = Math.floor(Date.now() / 1000)
  const wanted = Math.floor(expiresAt.getTime() / 1000)
  const begin = Math.min(now, wanted) - BACKDATED_SECONDS
  const seconds = Math.min(wanted - begin, LONGEST_SECONDS)
  const time = timestamp(begin)
  const scope = `${time.slice(0, 8)}/auto/storage/goog4_request`
  const signed = { host: new URL(origin).host, ...headers }
  const names = Object.keys(signed).toSorted(byCode)
  const path = `/${encodeStrictly(bucket)}/${key.split('/').map(encodeStrictly).join('/')}`
  const query = canonicalQuery({
    ...(userProject !== undefined && { userProject }),
    'X-Goog-Algorithm': 'GOOG4-RSA-SHA256',
    'X-Goog-Credential': `${signer.email}/${scope}`,
    'X-Goog-Date': time,
    'X-Goog-Expires': String(seconds),
    'X-Goog-SignedHeaders': names.join(';'),
  })
  const values = new Map(Object.entries(signed))
  const request = [
    method,
    path,
    query,
    ...names.map((name) => `${name}:${values.get(name)?.trim().replaceAll(/\s+/g, ' ')}`),
    '',
    names.join(';'),
    'UNSIGNED-PAYLOAD',
  ].join('\n')
  const digest = createHash('sha256').update(request).digest('hex')
  const text = ['GOOG4-RSA-SHA256', time, scope, digest].join('\n')
  const signature = Buffer.from(await signer.sign(text, options.signal)).toString('hex')
  return `${path}?${query}&X-Goog-Signature=${signature}`
}

/** Everything but what RFC 3986, 2.3 calls unreserved, as the signature wants it. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function canonicalQuery(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(value)}`)
    .toSorted(byCode)
    .join('&')
}

/** `20261121T092500Z` */
function timestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replaceAll(/[-:]|\.\d+/g, '')
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
