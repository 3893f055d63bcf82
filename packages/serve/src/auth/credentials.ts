/** The longest `Authorization` header that is looked at (characters). */
const MAX_HEADER = 48 * 1024

/** What a request says to prove who sent it. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly name: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  /** A refresh token of the token service, which nothing else accepts. */
  | { readonly kind: 'refresh'; readonly token: string }
  /** Another scheme, or none that can be read. */
  | { readonly kind: 'malformed' }

/** Reads an `Authorization` header (RFC 7617, RFC 6750). */
export function parseCredentials(header: string | undefined): Credentials {
  if (header === undefined || header === '') return { kind: 'none' }
  if (header.length > MAX_HEADER) return { kind: 'malformed' }
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') return { kind: 'bearer', token: value }
  return scheme.toLowerCase() === 'basic' ? parseBasic(value) : { kind: 'malformed' }
}

function parseBasic(value: string): Credentials {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return { kind: 'malformed' }
  const pair = Buffer.from(value, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 0) return { kind: 'malformed' }
  const name = pair.slice(0, colon)
  const password = pair.slice(colon + 1)
  // Docker sends an empty pair where it has no credentials.
  return name === '' && password === '' ? { kind: 'none' } : { kind: 'basic', name, password }
}
