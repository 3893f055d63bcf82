import type { WayToClients } from '../request/client.ts'
import { type Authentication, type Authenticator, createAuthenticator } from './authenticate.ts'
import type { Credentials } from './credentials.ts'
import type { Users, UserTable } from './htpasswd.ts'
import { nameOf } from './identity.ts'
import { createTokens, type Tokens } from './jwt.ts'
import type { LogInPace } from './log-in-pace.ts'
import { createOidc, type OidcIssuer, type OidcOptions } from './oidc.ts'
import { type AccessRule, type AccessRules, createRules } from './rules.ts'
import type { SigningKey } from './signing-key.ts'

/** Who may do what, as configured. */
export interface AccessSettings {
  readonly users: UserTable
  readonly issuers: readonly OidcIssuer[]
  readonly rules: readonly AccessRule[]
  readonly signingKey: SigningKey
}

/** A look at credentials, for audits and metrics. */
export interface LogIn {
  readonly address: string
  /** Whose the credentials are, or claim to be: hostile unless the outcome is `right`. */
  readonly name: string | undefined
  readonly outcome: 'right' | 'wrong' | 'slowed' | 'busy' | 'issuer'
}

export interface AccessOptions extends WayToClients, OidcOptions {
  /** Is called for every look at credentials that are not anonymous. */
  readonly onLogIn?: (logIn: LogIn) => void
  readonly verifyPassword?: (password: string, hash: string) => Promise<boolean>
}

/** What one request is judged by: replaced as a whole. */
export interface AccessState {
  /** False where there are neither users nor issuers: then credentials mean nothing. */
  readonly canLogIn: boolean
  readonly rules: AccessRules
  readonly users: Users
  readonly tokens: Tokens
  readonly authenticator: Authenticator
}

/** What follows from settings. The users and the pace of log-ins outlive them. */
export function createAccessState(
  settings: AccessSettings,
  { users, pace, service, options }: LastingParts,
): AccessState {
  const { now } = options
  const tokens = createTokens({ key: settings.signingKey, service, ...(now && { now }) })
  const oidc = createOidc(settings.issuers, options)
  const authenticator = createAuthenticator({ users, oidc, tokens, pace })
  return {
    canLogIn: settings.users.size > 0 || settings.issuers.length > 0,
    rules: createRules(settings.rules),
    users,
    tokens,
    authenticator,
  }
}

interface LastingParts {
  readonly users: Users
  readonly pace: LogInPace
  readonly service: string
  readonly options: AccessOptions
}

/** What the check of a request and the token service share. */
export interface RequestContext {
  readonly options: AccessOptions
  /** The name of the registry in challenges and tokens. */
  readonly service: string
  readonly current: () => AccessState
}

/** Reports a look at credentials. That of an own token was reported when the token was issued. */
export function reportLogIn(
  { options }: RequestContext,
  {
    credentials,
    address,
    found,
  }: {
    readonly credentials: Credentials
    readonly address: string
    readonly found: Authentication
  },
): void {
  if (credentials.kind === 'none' || (found.kind === 'known' && found.grants)) return
  const claimed = credentials.kind === 'basic' ? credentials.name : undefined
  options.onLogIn?.({
    address,
    name: found.kind === 'known' ? nameOf(found.identity) : claimed,
    outcome: found.kind === 'known' ? 'right' : found.kind === 'wrong' ? 'wrong' : found.why,
  })
}
