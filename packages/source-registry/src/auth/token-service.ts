import { asString, optional, S3loError } from '@s3lo/core/plugin'
import type { HttpAnswer, HttpFetch } from '../http.ts'
import type { Credential } from './credential.ts'
import type { Realm } from './realm.ts'
import { parseSecretJson } from './secret-json.ts'

/** What a token service gave. */
export interface Token {
  readonly token: string
  readonly lifetimeMs: number
  /** Takes the place of the identity token that it was bought with. */
  readonly refreshToken?: string
}

/** What a token is asked for. */
export interface TokenRequest {
  /** The registry, for messages. */
  readonly host: string
  readonly realm: Realm
  readonly scopes: readonly string[]
  /** Without one the token is asked for anonymously. */
  readonly credential: Exclude<Credential, { readonly kind: 'registry-token' }> | undefined
  readonly signal?: AbortSignal | undefined
}

const CLIENT_ID = 's3lo'
const MAX_ANSWER = 1024 * 1024
/** What the specification says where the answer does not. */
const DEFAULT_LIFETIME_SECONDS = 60
const MAX_LIFETIME_SECONDS = 24 * 60 * 60
/** What may stand in a header: no space, no line break. */
const TOKEN = /^[!-~]+$/

/**
 * Asks a token service for a token (distribution v2.8 "token authentication" and "OAuth2"): by GET
 * with a password or without anything, by POST with an identity token. Throws `UNAUTHORIZED` when
 * it refuses, `INTEGRITY` when its answer is no token.
 */
export async function requestToken(fetch: HttpFetch, request: TokenRequest): Promise<Token> {
  const { credential } = request
  if (credential?.kind === 'identity-token') {
    const grant = { grant_type: 'refresh_token', refresh_token: credential.token }
    return readToken(await post(fetch, request, grant), request)
  }
  const answer = await get(fetch, request, credential)
  // Some services know the newer way only.
  if (credential && (answer.status === 404 || answer.status === 405)) {
    const { username, password } = credential
    const grant = { grant_type: 'password', username, password }
    return readToken(await post(fetch, request, grant), request)
  }
  return readToken(answer, request)
}

/** The value of `Authorization` for a name and a password (RFC 7617). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function get(
  fetch: HttpFetch,
  { realm, scopes, signal }: TokenRequest,
  credential: { readonly username: string; readonly password: string } | undefined,
): Promise<HttpAnswer> {
  const url = new URL(realm.url)
  if (realm.service !== undefined) url.searchParams.set('service', realm.service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const headers: Record<string, string> = { accept: 'application/json' }
  if (credential) {
    headers['authorization'] = basicAuthorization(credential.username, credential.password)
  }
  return fetch(url, { method: 'GET', headers, signal })
}

function post(
  fetch: HttpFetch,
  { realm, scopes, signal }: TokenRequest,
  grant: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  const form = new URLSearchParams({ ...grant, client_id: CLIENT_ID })
  if (realm.service !== undefined) form.set('service', realm.service)
  if (scopes.length > 0) form.set('scope', scopes.join(' '))
  return fetch(realm.url, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
    signal,
  })
}

async function readToken(answer: HttpAnswer, request: TokenRequest): Promise<Token> {
  if (answer.status !== 200) throw refusal(answer.status, request)
  const what = `the answer of ${request.realm.url.host}`
  const body = parseSecretJson(await answer.text(MAX_ANSWER), what)
  const token = optional(body, 'token', what, asString)
  const text = token === undefined || token === '' ? body['access_token'] : token
  // Some services write all members, empty ones too.
  const refreshToken = optional(body, 'refresh_token', what, asString) || undefined
  return {
    token: asToken(text, what),
    lifetimeMs: 1000 * lifetimeSeconds(body['expires_in']),
    ...(refreshToken === undefined ? {} : { refreshToken: asToken(refreshToken, what) }),
  }
}

function asToken(value: unknown, what: string): string {
  const token = asString(value, `${what}, the token,`)
  if (TOKEN.test(token)) return token
  throw new S3loError('INTEGRITY', `${what} has characters in its token that cannot be sent`)
}

function lifetimeSeconds(value: unknown): number {
  // No service means a token that is no good at all: zero is what is written for "not said".
  if (typeof value !== 'number' || !(value > 0)) return DEFAULT_LIFETIME_SECONDS
  return Math.min(value, MAX_LIFETIME_SECONDS)
}

function refusal(status: number, { host, realm, credential }: TokenRequest): S3loError {
  const hint = `s3lo login ${host}`
  // OAuth2 (RFC 6749 section 5.2) says 400 where a token is no longer good.
  const isRefused = status === 401 || status === 403 || (status === 400 && credential !== undefined)
  if (isRefused && credential) return refusedCredential(host, credential)
  if (isRefused)
    return new S3loError('UNAUTHORIZED', `the registry ${host} asks for a login`, { hint })
  const what = `${realm.url.host}, where the registry ${host} has logins,`
  const code = status === 429 || status >= 500 ? 'UNAVAILABLE' : 'UNSUPPORTED'
  return new S3loError(code, `${what} answered with status ${status}`)
}

/** Says that what was found for a registry is no good, and where it was found. */
export function refusedCredential(host: string, { source }: Credential): S3loError {
  return new S3loError(
    'UNAUTHORIZED',
    `the registry ${host} does not accept the credentials from ${source}`,
    { hint: `s3lo login ${host}` },
  )
}
