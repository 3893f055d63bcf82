import { asObject, readBoundedFile, S3loError } from '@s3lo/core'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify, type JWTVerifyGetKey } from 'jose'
import { type Fetch, fetchDocument, isTrustworthyAddress } from './bounded-fetch.ts'
import type { Identity } from './identity.ts'
import { decodeIssuer } from './jwt.ts'

/** Signatures that only the issuer can make: with a shared secret, a client could as well. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

const CLOCK_TOLERANCE = 30 // seconds

/** How long keys are used before they are read anew (milliseconds). */
const FRESH = 10 * 60_000

/** Keys are not asked for more often, be it for a key that is unknown or after a failure (milliseconds). */
const COOLDOWN = 30_000

const MAX_JWKS_FILE = 512 * 1024

/** Who signs tokens that this registry accepts. */
export interface OidcIssuer {
  /** Compared with the token's `iss`, exactly. */
  readonly issuer: string
  /** One of these must be in the token's `aud`. */
  readonly audience: readonly string[]
  /** Where the issuer's keys are: found by its discovery document, at an address, or in a file. */
  readonly jwks:
    | { readonly from: 'discovery' }
    | { readonly from: 'url' | 'file'; readonly at: string }
}

export interface OidcOptions {
  readonly fetch?: Fetch
  readonly now?: () => number
}

/** Verifies the tokens of the issuers that it knows. */
export interface Oidc {
  /**
   * Whose token it is; `undefined` for a token that is not valid. Throws `UNAVAILABLE` when the
   * issuer's keys cannot be read: the token may be valid.
   */
  verify(token: string): Promise<Identity | undefined>
}

export function createOidc(issuers: readonly OidcIssuer[], options: OidcOptions = {}): Oidc {
  const now = options.now ?? Date.now
  const known = new Map(
    issuers.map((issuer) => [issuer.issuer, { issuer, keys: createKeys(issuer, options) }]),
  )
  return {
    async verify(token) {
      const named = decodeIssuer(token)
      const entry = named === undefined ? undefined : known.get(named)
      if (!entry) return undefined
      const { issuer, audience } = entry.issuer
      try {
        const { payload } = await jwtVerify(token, entry.keys, {
          algorithms: ALGORITHMS,
          issuer,
          audience: [...audience],
          requiredClaims: ['sub', 'exp'],
          clockTolerance: CLOCK_TOLERANCE,
          currentDate: new Date(now()),
        })
        return toIdentity(issuer, payload.sub)
      } catch (error) {
        if (error instanceof S3loError) throw error
        return undefined // Invalid tokens are answered in one way.
      }
    },
  }
}

/** A subject is shown in logs and compared with patterns: only printable text is one. */
function toIdentity(issuer: string, subject: string | undefined): Identity | undefined {
  if (subject === undefined || !/^[\x21-\x7e]{1,512}$/.test(subject)) return undefined
  return { kind: 'oidc', issuer, subject }
}

/** Finds keys in what was read of the issuer last, and reads anew where a key is not there. */
function createKeys(issuer: OidcIssuer, options: OidcOptions): JWTVerifyGetKey {
  const { fetch = globalThis.fetch, now = Date.now } = options
  let keys: { readonly find: JWTVerifyGetKey; readonly readAt: number } | undefined
  let reading: Promise<void> | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  const read = async (): Promise<void> => {
    triedAt = now()
    try {
      const find = createLocalJWKSet(await readKeys(issuer, fetch))
      keys = { find, readAt: now() }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new S3loError('UNAVAILABLE', `the keys of ${issuer.issuer}: ${reason}`, { cause })
    }
  }
  /** One at a time however many tokens wait, and not in the cooldown. */
  const refresh = async (): Promise<void> => {
    if (!reading && now() - triedAt < COOLDOWN) return
    reading ??= read().finally(() => {
      reading = undefined
    })
    await reading
  }
  return async (header, token) => {
    if (!keys || now() - keys.readAt > FRESH) {
      // Keys that were read once stay in use while the issuer does not answer.
      await refresh().catch((error: unknown) => {
        if (!keys) throw error
      })
    }
    if (!keys) throw new S3loError('UNAVAILABLE', `the keys of ${issuer.issuer} cannot be read`)
    const before = keys
    try {
      return await before.find(header, token)
    } catch (error) {
      await refresh()
      if (keys === before) throw error
      return keys.find(header, token)
    }
  }
}

async function readKeys({ issuer, jwks }: OidcIssuer, fetch: Fetch): Promise<JSONWebKeySet> {
  if (jwks.from === 'file') {
    const content = await readBoundedFile(jwks.at, MAX_JWKS_FILE)
    return toKeySet(JSON.parse(content.toString('utf8')), jwks.at)
  }
  const address = jwks.from === 'url' ? jwks.at : await discover(issuer, fetch)
  return toKeySet(await fetchDocument(address, fetch), address)
}

/** OpenID Connect Discovery 1.0, sections 4 and 4.3. */
async function discover(issuer: string, fetch: Fetch): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const document = asObject(await fetchDocument(address, fetch), address)
  const { issuer: own, jwks_uri: keys } = document
  if (own !== issuer) throw new S3loError('UNAVAILABLE', `${address} names another issuer`)
  if (typeof keys !== 'string' || !isTrustworthyAddress(keys)) {
    throw new S3loError('UNAVAILABLE', `${address} names no address of keys over TLS`)
  }
  return keys
}

function toKeySet(document: unknown, name: string): JSONWebKeySet {
  const keys =
    typeof document === 'object' && document !== null && 'keys' in document && document.keys
  if (!Array.isArray(keys) || keys.length > 100) {
    throw new S3loError('UNAVAILABLE', `${name} is no set of at most 100 keys`)
  }
  return { keys }
}
