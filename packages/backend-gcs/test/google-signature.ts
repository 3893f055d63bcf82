import { createHash, createVerify, type KeyObject } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

type Problem = readonly [status: number, code: string]

const LONGEST_SECONDS = 7 * 24 * 3600
/** How far in the future a signature may begin. */
const SKEW_MS = 15 * 60_000

/**
 * Checks a V4 signature (GOOG4-RSA-SHA256) from what really arrived: method, path, query and the
 * headers that it names. The answer is what the service would refuse it with.
 */
export function checkSignature(
  { method = '', url = '', headers }: IncomingMessage,
  accounts: ReadonlyMap<string, KeyObject>,
  now: number,
): Problem | undefined {
  const [path = '', search = ''] = url.split('?')
  const query = new URLSearchParams(search)
  const signature = query.get('X-Goog-Signature')
  if (signature === null) return [403, 'AccessDenied']
  const time = query.get('X-Goog-Date') ?? ''
  const seconds = Number(query.get('X-Goog-Expires'))
  const begin = Date.parse(
    time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  )
  if (Number.isNaN(begin) || !(seconds > 0) || seconds > LONGEST_SECONDS) {
    return [400, 'MalformedSecurityHeader']
  }
  if (now >= begin + seconds * 1000) return [400, 'ExpiredToken']
  if (begin > now + SKEW_MS) return [403, 'RequestTimeTooSkewed']
  const [email = '', date, ...scope] = (query.get('X-Goog-Credential') ?? '').split('/')
  const key = accounts.get(email)
  if (!key || date !== time.slice(0, 8) || scope.join('/') !== 'auto/storage/goog4_request') {
    return [403, 'SignatureDoesNotMatch']
  }
  const names = (query.get('X-Goog-SignedHeaders') ?? '').split(';')
  // No request may carry what changes the request without signing it.
  const unsigned = Object.keys(headers).filter(
    (name) => name.startsWith('x-goog-') && !names.includes(name),
  )
  if (!names.includes('host') || unsigned.length > 0) return [403, 'SignatureDoesNotMatch']
  const canonicalQuery = search
    .split('&')
    .filter((pair) => !pair.startsWith('X-Goog-Signature='))
    .toSorted()
    .join('&')
  // Google's SDK signs the host without its port.
  const hosts = [headers.host ?? '', (headers.host ?? '').replace(/:\d+$/, '')]
  const isGood = hosts.some((host) => {
    const values = names.map((name) => `${name}:${name === 'host' ? host : String(headers[name])}`)
    const parts = [method, path, canonicalQuery, ...values, '', names.join(';'), 'UNSIGNED-PAYLOAD']
    const digest = createHash('sha256').update(parts.join('\n')).digest('hex')
    const text = ['GOOG4-RSA-SHA256', time, [date, ...scope].join('/'), digest].join('\n')
    return createVerify('RSA-SHA256').update(text).verify(key, signature, 'hex')
  })
  return isGood ? undefined : [403, 'SignatureDoesNotMatch']
}

/** Checks a service account's assertion (RFC 7523); says what is wrong with it. */
export function checkAssertion(
  assertion: string,
  accounts: ReadonlyMap<string, KeyObject>,
  now: number,
): string | undefined {
  const [head = '', claims = '', signature = ''] = assertion.split('.')
  let parsed: Record<string, unknown>
  try {
    parsed = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
  } catch {
    return 'no assertion'
  }
  const key = accounts.get(String(parsed['iss']))
  const isSigned =
    key &&
    createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(key, signature, 'base64url')
  if (!isSigned) return 'invalid signature'
  const skew = Math.abs(Number(parsed['iat']) * 1000 - now)
  return skew > 600_000 ? 'iat or exp is not in a reasonable timeframe' : undefined
}
