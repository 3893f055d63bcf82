import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { decodeJwt, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import type { Identity } from './identity.ts'
import type { Action } from './principal.ts'
import { ACTIONS } from './rules.ts'
import type { SigningKey } from './signing-key.ts'

/** The issuer of the registry's own tokens. No OIDC issuer has this name: those are addresses. */
export const OWN_ISSUER = 's3lo'

/** The only algorithm of own tokens. A token that names another is none. */
const ALGORITHM = 'EdDSA'

/** What a token is for: one kind never passes for the other. */
const TYPE = { access: 's3lo-access+jwt', refresh: 's3lo-refresh+jwt' } as const

/** How long tokens are valid (seconds). */
export const LIFETIME = { access: 300, refresh: 30 * 24 * 3600 } as const

/** How far the clocks of replicas may be apart (seconds). */
const CLOCK_TOLERANCE = 10

/** The longest token that is looked at (characters). */
const MAX_TOKEN = 32 * 1024

/** What a token allows where the rules allow it too. */
export interface Grant {
  readonly type: 'repository' | 'registry'
  /** A repository, or `catalog`. */
  readonly name: string
  readonly actions: readonly Action[]
}

export interface AccessClaims {
  readonly identity: Identity
  readonly grants: readonly Grant[]
}

/** The registry's own tokens. Reading gives `undefined` for what is no valid token of the kind. */
export interface Tokens {
  issueAccess(claims: AccessClaims): Promise<string>
  readAccess(token: string): Promise<AccessClaims | undefined>
  /** A token that stays valid as long as the user's fingerprint stays the same, at most {@link LIFETIME}. */
  issueRefresh(user: string, fingerprint: string): Promise<string>
  /** The user of a refresh token. */
  readRefresh(
    token: string,
    fingerprintOf: (user: string) => string | undefined,
  ): Promise<string | undefined>
}

export interface TokensOptions {
  readonly key: SigningKey
  /** The audience: tokens of a registry with another name are not accepted. */
  readonly service: string
  readonly now?: () => number
}

export function createTokens({ key, service, now = Date.now }: TokensOptions): Tokens {
  const sign = (type: keyof typeof TYPE, subject: string, claims: JWTPayload): Promise<string> => {
    const seconds = Math.floor(now() / 1000)
    return new SignJWT({ ...claims, jti: randomUUID() })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE[type], kid: key.id })
      .setIssuer(OWN_ISSUER)
      .setAudience(service)
      .setSubject(subject)
      .setIssuedAt(seconds)
      .setNotBefore(seconds)
      .setExpirationTime(seconds + LIFETIME[type])
      .sign(key.privateKey)
  }
  const read = async (type: keyof typeof TYPE, token: string): Promise<JWTPayload | undefined> => {
    if (token.length > MAX_TOKEN) return undefined
    try {
      const { payload } = await jwtVerify(token, key.publicKey, {
        algorithms: [ALGORITHM],
        typ: TYPE[type],
        issuer: OWN_ISSUER,
        audience: service,
        requiredClaims: ['sub', 'iat', 'exp', 'jti'],
        clockTolerance: CLOCK_TOLERANCE,
        currentDate: new Date(now()),
      })
      return payload
    } catch {
      return undefined // Invalid tokens are answered in one way.
    }
  }
  const proofOf = (user: string, fingerprint: string): string =>
    createHmac('sha256', key.privateKey.export({ type: 'pkcs8', format: 'der' }))
      .update(JSON.stringify(['refresh', user, fingerprint]))
      .digest('base64url')
  return {
    issueAccess: ({ identity, grants }) =>
      sign('access', subjectOf(identity), {
        kind: identity.kind,
        ...issuerOf(identity),
        access: grants,
      }),
    readAccess: async (token) => toClaims(await read('access', token)),
    issueRefresh: (user, fingerprint) =>
      sign('refresh', user, { proof: proofOf(user, fingerprint) }),
    async readRefresh(token, fingerprintOf) {
      const { sub: user, proof } = (await read('refresh', token)) ?? {}
      const fingerprint = user === undefined ? undefined : fingerprintOf(user)
      if (user === undefined || fingerprint === undefined) return undefined
      return isSame(proof, proofOf(user, fingerprint)) ? user : undefined
    },
  }
}

/**
 * What a token says of its issuer, `undefined` where it says nothing. Nothing is verified: it selects
 * who has to have signed the token.
 */
export function decodeIssuer(token: string): string | undefined {
  if (token.length > MAX_TOKEN) return undefined
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

function subjectOf(identity: Identity): string {
  if (identity.kind === 'anonymous') return ''
  return identity.kind === 'user' ? identity.name : identity.subject
}

function issuerOf(identity: Identity): JWTPayload {
  return identity.kind === 'oidc' ? { issuer: identity.issuer } : {}
}

/** The payload is our own, for the signature was right. */
function toClaims(payload: JWTPayload | undefined): AccessClaims | undefined {
  const identity = payload && toIdentity(payload)
  const grants = payload?.['access']
  if (!identity || !Array.isArray(grants)) return undefined
  return { identity, grants: grants.filter(isGrant) }
}

function toIdentity({ kind, sub: subject = '', issuer }: JWTPayload): Identity | undefined {
  if (kind === 'anonymous') return { kind }
  if (kind === 'user') return { kind, name: subject }
  return kind === 'oidc' && typeof issuer === 'string' ? { kind, issuer, subject } : undefined
}

function isGrant(value: unknown): value is Grant {
  if (typeof value !== 'object' || value === null) return false
  const { type, name, actions } = value as Partial<Grant>
  return (
    (type === 'repository' || type === 'registry') &&
    typeof name === 'string' &&
    Array.isArray(actions) &&
    actions.every((action) => ACTIONS.includes(action))
  )
}

function isSame(given: unknown, expected: string): boolean {
  if (typeof given !== 'string' || given.length !== expected.length) return false
  return timingSafeEqual(Buffer.from(given), Buffer.from(expected))
}
