import { isS3loError } from '@s3lo/core'
import type { Credentials } from './credentials.ts'
import { MAX_PASSWORD_BYTES, type Users } from './htpasswd.ts'
import { ANONYMOUS, type Identity } from './identity.ts'
import { decodeIssuer, type Grant, OWN_ISSUER, type Tokens } from './jwt.ts'
import type { LogInPace } from './log-in-pace.ts'
import type { Oidc } from './oidc.ts'

/** Whether credentials are right. */
export type Authentication =
  | {
      readonly kind: 'known'
      readonly identity: Identity
      /** What the request's token was issued for; without one, the rules alone decide. */
      readonly grants?: readonly Grant[]
    }
  | { readonly kind: 'wrong' }
  /** Not looked at: too many wrong ones, too much at once, or an issuer that does not answer. */
  | { readonly kind: 'later'; readonly seconds: number; readonly why: 'slowed' | 'busy' | 'issuer' }

export interface AuthenticatorParts {
  readonly users: Users
  readonly oidc: Oidc
  readonly tokens: Tokens
  readonly pace: LogInPace
}

export interface Authenticator {
  /** `address` is the client's. Absent credentials are an anonymous client's. */
  authenticate(credentials: Credentials, address: string): Promise<Authentication>
}

const WRONG: Authentication = { kind: 'wrong' }

export function createAuthenticator({
  users,
  oidc,
  tokens,
  pace,
}: AuthenticatorParts): Authenticator {
  const byOidc = async (token: string): Promise<Authentication> => {
    try {
      const identity = await oidc.verify(token)
      return identity ? { kind: 'known', identity } : WRONG
    } catch (error) {
      if (!isS3loError(error, 'UNAVAILABLE')) throw error
      return { kind: 'later', seconds: 30, why: 'issuer' }
    }
  }
  const byPassword = async (
    { name, password }: { readonly name: string; readonly password: string },
    address: string,
  ): Promise<Authentication> => {
    // No password of an htpasswd file is as long as a token.
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES && isTokenShaped(password)) {
      return byOidc(password)
    }
    const recalled = users.recall(name, password)
    // The same again is no guess, but a client with an old password: others at its address are not slowed.
    if (recalled === false) return WRONG
    // Not even a right one: it would be told from a wrong one at any pace.
    const isSlowed = (): boolean => pace.waitOf(address) > 0
    const failed = (): void => pace.failed(address)
    const checked = isSlowed()
      ? 'slowed'
      : (recalled ?? (await users.check(name, password, { isSlowed, failed })))
    if (checked === 'busy') return { kind: 'later', seconds: 1, why: checked }
    if (checked === 'slowed') {
      return { kind: 'later', seconds: pace.waitOf(address), why: checked }
    }
    return checked ? { kind: 'known', identity: { kind: 'user', name } } : WRONG
  }
  const byToken = async (token: string): Promise<Authentication> => {
    if (decodeIssuer(token) !== OWN_ISSUER) return byOidc(token)
    const claims = await tokens.readAccess(token)
    return claims ? { kind: 'known', ...claims } : WRONG
  }
  const byRefresh = async (token: string): Promise<Authentication> => {
    const name = await tokens.readRefresh(token, (user) => users.fingerprint(user))
    return name === undefined ? WRONG : { kind: 'known', identity: { kind: 'user', name } }
  }
  return {
    async authenticate(credentials, address) {
      switch (credentials.kind) {
        case 'none':
          return { kind: 'known', identity: ANONYMOUS }
        case 'basic':
          return byPassword(credentials, address)
        case 'bearer':
          // A signature cannot be guessed, and an expired token is how clients learn that they need another.
          return byToken(credentials.token)
        case 'refresh':
          return byRefresh(credentials.token)
        case 'malformed':
          return WRONG
      }
    },
  }
}

function isTokenShaped(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
}
