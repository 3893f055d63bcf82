import {
  type RegistryCredentialOptions,
  type S3loError,
  SingleFlight,
  type TransportOptions,
} from '@s3lo/core/plugin'
import type { HttpFetch } from '../http.ts'
import type { Unprompted } from '../registry-client.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Credential, CredentialStore } from './credential.ts'
import { Credentials } from './credentials.ts'
import { parseRealm, type Realm } from './realm.ts'
import { challengeScopes, mergeScopes, repositoryOf } from './scopes.ts'
import { basicAuthorization, refusedCredential, requestToken, type Token } from './token-service.ts'

/** For which registry, and where its credentials are. */
export interface AuthenticatorOptions {
  /** Whom people log in to: `docker.io`, `localhost:5000`. */
  readonly host: string
  /** True when the registry itself is asked without TLS: its token service may be, too. */
  readonly plainHttp: boolean
  readonly env: RegistryCredentialOptions['env']
  /** Asks the token service. */
  readonly fetch: HttpFetch
  readonly registryCredential?: TransportOptions['registryCredential']
  /** In place of what `env` and `registryCredential` lead to. */
  readonly credentials?: CredentialStore | undefined
  /** Milliseconds since the epoch. */
  readonly clock?: (() => number) | undefined
}

/** How the registry wants to be asked; unknown until its first challenge. */
type Mode = { readonly kind: 'basic' } | { readonly kind: 'bearer'; readonly realm: Realm }

interface CachedToken {
  readonly authorization: string
  readonly scopes: readonly string[]
  readonly obtainedAt: number
  readonly expiresAt: number
  isUsed: boolean
}

interface Found {
  readonly credential: Credential | undefined
  readonly foundAt: number
}

/** A token is put away this long before it expires, or a quarter of its life if that is less. */
const MAX_SKEW_MS = 10_000
/** A 401 within this time is the answer to a request that left before the token came. */
const FRESH_MS = 2000
const MAX_CACHED = 1000

/**
 * Finds credentials for one registry and turns them into `Authorization` headers, by what the
 * registry asks for. Nothing is sent before it asks. Passwords and tokens go to the registry and to
 * the token service it names; tokens are kept per set of scopes and never stored.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #credentials: CredentialStore
  readonly #clock: () => number
  readonly #tokens = new Map<string, CachedToken>()
  readonly #found = new Map<string, Found>()
  readonly #tokenFlights = new SingleFlight<CachedToken>()
  readonly #findFlights = new SingleFlight<Credential | undefined>()
  #mode: Mode | undefined

  constructor(options: AuthenticatorOptions) {
    const { env, registryCredential } = options
    this.#options = options
    this.#credentials = options.credentials ?? new Credentials({ env, registryCredential })
    this.#clock = options.clock ?? Date.now
  }

  /** True once the registry has asked for credentials. */
  get isAsked(): boolean {
    return this.#mode !== undefined
  }

  /**
   * The `Authorization` header for a call that needs `scopes`; `undefined` where nothing is asked
   * for yet, or nothing is known. Throws `UNAUTHORIZED` when the token service refuses.
   */
  async authorization(
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    if (!this.#mode) return undefined
    const credential = await this.#find(scopes, signal)
    if (credential?.kind === 'registry-token') return `Bearer ${credential.token}`
    if (this.#mode.kind === 'basic') return basicOf(credential)
    const { realm } = this.#mode
    const known = this.#usableToken(keyOf(scopes))
    const token = known ?? (await this.#refresh(realm, scopes, signal))
    token.isUsed = true
    return token.authorization
  }

  /**
   * Learns from the challenges of a 401, and gets a new token where tokens are used. True when
   * another try is worth it; it is once per call: a second 401 is the registry's last word.
   */
  async challenged(
    wwwAuthenticate: string,
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<boolean> {
    const challenge = chooseChallenge(parseChallenges(wwwAuthenticate))
    if (!challenge) return false
    const mode = this.#modeOf(challenge)
    this.#mode = mode
    this.#forgetStale(scopes)
    const credential = await this.#find(scopes, signal)
    if (credential?.kind === 'registry-token') return true
    if (mode.kind === 'basic') return basicOf(credential) !== undefined
    const asked = challengeScopes(challenge.parameters.get('scope'))
    const known = this.#tokens.get(keyOf(scopes))
    if (!known || !this.#isFresh(known) || !covers(known.scopes, asked)) {
      await this.#refresh(mode.realm, scopes, signal, asked)
    }
    return true
  }

  /**
   * What there is for a registry that answers 401 without a challenge: the password, or a new token
   * in place of one that is no longer good. `undefined` when it has been sent already.
   */
  async unprompted(
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<Unprompted | undefined> {
    const mode = this.#mode
    if (mode?.kind === 'basic') return undefined
    if (mode) {
      const known = this.#tokens.get(keyOf(scopes))
      if (!known || this.#isFresh(known)) return undefined
      const { authorization } = await this.#refresh(mode.realm, scopes, signal)
      return { authorization, accepted: () => {} }
    }
    const credential = await this.#find(scopes, signal)
    const isToken = credential?.kind === 'registry-token'
    const authorization = isToken ? `Bearer ${credential.token}` : basicOf(credential)
    if (authorization === undefined) return undefined
    return { authorization, accepted: () => void (this.#mode ??= { kind: 'basic' }) }
  }

  /**
   * The error for a credential that the registry rejected; `undefined` if it rejected only a token
   * that was derived from the credential.
   */
  refusal(scopes: readonly string[]): S3loError | undefined {
    const credential = this.#found.get(repositoryOf(scopes) ?? '')?.credential
    const isSentAsItIs = this.#mode?.kind === 'basic' || credential?.kind === 'registry-token'
    if (!credential || !isSentAsItIs) return undefined
    return refusedCredential(this.#options.host, credential)
  }

  #modeOf({ scheme, parameters }: Challenge): Mode {
    if (scheme === 'basic') return { kind: 'basic' }
    const realm = parseRealm(
      parameters.get('realm') ?? '',
      parameters.get('service'),
      this.#options,
    )
    return { kind: 'bearer', realm }
  }

  #usableToken(key: string): CachedToken | undefined {
    const token = this.#tokens.get(key)
    if (!token) return undefined
    const skew = Math.min(MAX_SKEW_MS, (token.expiresAt - token.obtainedAt) / 4)
    // However short its life: what has just been fetched for a call is good for that call.
    const isNew = !token.isUsed && this.#clock() - token.obtainedAt < FRESH_MS
    return isNew || this.#clock() < token.expiresAt - skew ? token : undefined
  }

  #isFresh({ obtainedAt, expiresAt }: CachedToken): boolean {
    const now = this.#clock()
    return now - obtainedAt < FRESH_MS && now < expiresAt
  }

  async #refresh(
    realm: Realm,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
    asked: readonly string[] = [],
  ): Promise<CachedToken> {
    const key = keyOf(scopes)
    // What the registry asked for beyond our own idea is asked for again when the token expires.
    const beyond = asked.length > 0 ? asked : (this.#tokens.get(key)?.scopes ?? [])
    const wanted = mergeScopes([...scopes, ...beyond])
    const flightKey = [realm.url.href, realm.service, ...wanted].join(' ')
    return this.#tokenFlights.run(flightKey, signal, async (flight) => {
      const token = await this.#requestToken(realm, scopes, wanted, flight)
      makeRoom(this.#tokens)
      this.#tokens.set(key, token)
      return token
    })
  }

  async #requestToken(
    realm: Realm,
    scopes: readonly string[],
    wanted: readonly string[],
    signal: AbortSignal,
  ): Promise<CachedToken> {
    const { host, fetch } = this.#options
    const found = await this.#find(scopes, signal)
    const credential = found?.kind === 'registry-token' ? undefined : found
    const obtainedAt = this.#clock()
    const answer = await requestToken(fetch, { host, realm, scopes: wanted, credential, signal })
    this.#renew(scopes, credential, answer)
    return {
      authorization: `Bearer ${answer.token}`,
      scopes: wanted,
      obtainedAt,
      expiresAt: obtainedAt + answer.lifetimeMs,
      isUsed: false,
    }
  }

  /** Some services give a new identity token each time, and the old one is void then. */
  #renew(
    scopes: readonly string[],
    credential: Credential | undefined,
    { refreshToken }: Token,
  ): void {
    if (credential?.kind !== 'identity-token' || refreshToken === undefined) return
    const renewed: Credential = { ...credential, token: refreshToken }
    this.#found.set(repositoryOf(scopes) ?? '', { credential: renewed, foundAt: this.#clock() })
  }

  /** Looks for the credential of a repository once, and again when it expires or is refused. */
  async #find(
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Credential | undefined> {
    const repository = repositoryOf(scopes)
    const key = repository ?? ''
    const known = this.#found.get(key)
    if (known && !isExpired(known.credential, this.#clock())) return known.credential
    return this.#findFlights.run(key, signal, async (flight) => {
      const { host } = this.#options
      const credential = await this.#credentials.find(host, { repository, signal: flight })
      makeRoom(this.#found)
      this.#found.set(key, { credential, foundAt: this.#clock() })
      return credential
    })
  }

  /** A refused password may have been changed in its file meanwhile. */
  #forgetStale(scopes: readonly string[]): void {
    const key = repositoryOf(scopes) ?? ''
    const found = this.#found.get(key)
    if (found?.credential?.kind !== 'password') return
    if (this.#clock() - found.foundAt >= FRESH_MS) this.#found.delete(key)
  }
}

function basicOf(credential: Credential | undefined): string | undefined {
  if (credential?.kind !== 'password') return undefined
  return basicAuthorization(credential.username, credential.password)
}

/** Tokens before passwords, when a registry takes both. */
function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  const isBearer = ({ scheme, parameters }: Challenge): boolean =>
    scheme === 'bearer' && parameters.has('realm')
  return challenges.find(isBearer) ?? challenges.find(({ scheme }) => scheme === 'basic')
}

function covers(scopes: readonly string[], asked: readonly string[]): boolean {
  return keyOf(mergeScopes([...scopes, ...asked])) === keyOf(scopes)
}

function keyOf(scopes: readonly string[]): string {
  return mergeScopes(scopes).join(' ')
}

function isExpired(credential: Credential | undefined, now: number): boolean {
  if (credential?.kind !== 'password' || !credential.expiresAt) return false
  return credential.expiresAt.getTime() - MAX_SKEW_MS <= now
}

/** Forgets the oldest entry of a full cache. */
function makeRoom(cache: Map<string, unknown>): void {
  const [oldest] = cache.keys()
  if (cache.size >= MAX_CACHED && oldest !== undefined) cache.delete(oldest)
}
