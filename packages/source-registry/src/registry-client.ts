import { Readable } from 'node:stream'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  DEFAULT_RETRY_POLICY,
  isWebPage,
  Requests,
  type RetryPolicy,
} from '@s3lo/core/transfer'
import { AddressGuard } from './address-guard.ts'
import { outgoingBody, readDocument, readShort } from './bodies.ts'
import type { HttpAnswer, HttpFetch, HttpHeaders, HttpResponse } from './http.ts'
import { HttpTransport } from './http-transport.ts'
import {
  failuresOf,
  LONGEST_WAIT_MS,
  MAX_ERROR_BYTES,
  noAnswer,
  StatusError,
  TransientError,
} from './registry-error.ts'
import { RegistryNotices } from './registry-notices.ts'

/** Who finds credentials and fetches tokens for a registry. */
export interface Authorizer {
  /** The `Authorization` header for calls that need `scopes`; `undefined` to try without one. */
  authorization(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined>
  /** Called with a 401 and its `WWW-Authenticate`; true when another try is worth it. */
  challenged(
    wwwAuthenticate: string,
    scopes: readonly string[],
    signal?: AbortSignal,
  ): Promise<boolean>
  /** What there is to send to a registry that answers 401 and asks for nothing. */
  unprompted?(scopes: readonly string[], signal?: AbortSignal): Promise<Unprompted | undefined>
  /** What to throw when the registry refuses the answer to its challenge; by default what it says. */
  refusal?(scopes: readonly string[]): S3loError | undefined
}

/** Credentials that were not asked for. */
export interface Unprompted {
  readonly authorization: string
  /** To be called when the registry has taken them: they are sent with every call from then on. */
  accepted(): void
}

/** Which registry, and how it is reached. */
export interface RegistryClientOptions {
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are read. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whom people log in to: `docker.io`, `localhost:5000`. */
  readonly host: string
  /** Who answers the API, where that is another one: `registry-1.docker.io`. */
  readonly apiHost?: string | undefined
  readonly plainHttp?: boolean | undefined
  /** Certificates (PEM) that are trusted beside those of the system. */
  readonly tlsCa?: string | undefined
  readonly retry?: Partial<RetryPolicy> | undefined
  /** Gets what the registry lets its users know, once each: warnings, and limits that are near. */
  readonly onNotice?: ((message: string) => void) | undefined
  /** Makes who authorises; without it every call is anonymous. It asks token services by `fetch`. */
  readonly authorizer?: ((fetch: HttpFetch) => Authorizer) | undefined
  readonly guard?: AddressGuard | undefined
}

/** One call of the registry's API. */
export interface RegistryCall extends CallOptions {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  /** A path (`/v2/…`) or a URL that the registry gave. */
  readonly to: string | URL
  /** Names the object in errors. */
  readonly what: string
  /** The statuses that are answers; every other one is thrown. */
  readonly expect: readonly number[]
  /** What a token has to allow: `repository:team/app:pull`. */
  readonly scopes: readonly string[]
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Uint8Array | undefined
  /** A body that is too long to be held; it can be sent once. */
  readonly stream?: { readonly content: Readable; readonly size: number } | undefined
  /** Milliseconds of silence that are no stall once everything is sent; as anywhere by default. */
  readonly patienceMs?: number | undefined
}

/** An answer whose body is a document. */
export interface RegistryAnswer {
  readonly status: number
  readonly headers: HttpHeaders
  readonly content: Uint8Array
  /** Who answered, after all redirects. */
  readonly url: URL
}

/** An answer and who gave it. */
interface Arrival {
  readonly response: HttpResponse
  readonly url: URL
}

/** Twice as long is waited where a registry asks for it; more is left to the user. */
const RETRY_POLICY = { ...DEFAULT_RETRY_POLICY, longestDelayMs: LONGEST_WAIT_MS / 2 }
const MAX_HOPS = 5
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Those after which the same request is sent to another place, body and all. */
const REPEATING_REDIRECTS: ReadonlySet<number> = new Set([307, 308])

/**
 * The HTTP API of one registry: authorises, repeats what failed transiently, follows redirects of
 * downloads (never with credentials, never from TLS to plain HTTP), and reads errors.
 */
export class RegistryClient {
  readonly host: string
  readonly origin: URL
  readonly requests: Requests
  readonly #authorizer: Authorizer | undefined
  readonly #guard: AddressGuard
  readonly #transport: HttpTransport
  readonly notices: RegistryNotices

  constructor(options: RegistryClientOptions) {
    const { host, apiHost = host, plainHttp = false, env, tlsCa } = options
    this.host = host
    this.origin = new URL(`${plainHttp ? 'http' : 'https'}://${apiHost}`)
    this.requests = new Requests({ ...RETRY_POLICY, ...options.retry }, failuresOf(host, plainHttp))
    this.#guard = options.guard ?? new AddressGuard(this.origin)
    this.#transport = new HttpTransport({ env, tlsCa, guard: this.#guard })
    this.notices = new RegistryNotices(host, options.onNotice)
    this.#authorizer = options.authorizer?.((url, init) => this.#fetch(url, init))
  }

  /** Calls the registry and reads the answer, at most `limit` bytes of it. */
  async ask(call: RegistryCall, limit?: number): Promise<RegistryAnswer> {
    return this.requests.send(call, (attempt) => this.answer(call, attempt, limit))
  }

  /** One attempt of {@link ask}, for a caller that repeats in its own way, by `requests`. */
  async answer(
    call: RegistryCall,
    attempt: Attempt,
    limit: number = MAX_ERROR_BYTES,
  ): Promise<RegistryAnswer> {
    const { response, url } = await this.#expected(call, attempt)
    const { status, headers } = response
    return {
      status,
      headers,
      url,
      content: await readDocument(response, limit, call.what, attempt),
    }
  }

  /** Calls the registry for a body, which the caller consumes or destroys. Throws `RequestError`. */
  async open(call: RegistryCall): Promise<HttpResponse> {
    return this.requests.trySend(
      call,
      async (attempt) => (await this.#expected(call, attempt)).response,
    )
  }

  /**
   * What a registry means by a `Location` or `Link`: relative to `base`, at the registry itself
   * or elsewhere, but not on plain HTTP behind TLS. Throws `INTEGRITY` when it is no URL.
   */
  locate(location: string | undefined, base: URL, what: string): URL {
    const url = location === undefined ? null : URL.parse(location, base.href)
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new S3loError('INTEGRITY', `${what}: the registry ${this.host} names no valid location`)
    }
    // Many a registry behind a proxy does not know that it is reached by TLS.
    if (this.#isDowngrade(base, url) && url.hostname === this.origin.hostname) {
      return new URL(`${this.origin.origin}${url.pathname}${url.search}`)
    }
    if (this.#isDowngrade(base, url)) throw this.#downgrade(what)
    url.username = ''
    url.password = ''
    url.hash = ''
    return url
  }

  async close(): Promise<void> {
    await this.#transport.close()
  }

  async #expected(call: RegistryCall, attempt: Attempt): Promise<Arrival> {
    const arrival = await this.#authorised(call, attempt)
    const { response } = arrival
    const { status, headers } = response
    if (!call.expect.includes(status)) throw await toStatusError(response, call.what)
    // A proxy or a login page that takes what is sent has done nothing of it.
    const isRead = call.method === 'GET' || call.method === 'HEAD'
    if (!isRead && status < 300 && isWebPage(headers.get('content-type'))) {
      await readShort(response, call.what)
      throw new TransientError(noAnswer(call.what, this.host, 'a web page'))
    }
    return arrival
  }

  /** Sends the request; once more when the registry asks for credentials that there are. */
  async #authorised(call: RegistryCall, attempt: Attempt): Promise<Arrival> {
    const { scopes } = call
    const { signal } = attempt
    for (let isRepeated = false; ; isRepeated = true) {
      const authorization = await unhurried(attempt, () =>
        this.#authorizer?.authorization(scopes, signal),
      )
      const arrival = await this.#follow(call, authorization, attempt)
      const { response, url } = arrival
      if (response.status !== 401 || !this.#guard.isOwn(url)) return arrival
      const challenge = response.headers.get('www-authenticate')
      if (!challenge?.trim()) return this.#offer(call, attempt, arrival)
      if (isRepeated || call.stream) {
        const refused = authorization && this.#authorizer?.refusal?.(scopes)
        if (!refused) return arrival
        response.body.destroy()
        throw refused
      }
      const refusal = await toStatusError(response, call.what)
      const isWorthIt = await unhurried(attempt, () =>
        this.#authorizer?.challenged(challenge, scopes, signal),
      )
      if (!isWorthIt) throw refusal
    }
  }

  /** After a 401 that asks for nothing: sends the request again, once, with what there is. */
  async #offer(call: RegistryCall, attempt: Attempt, arrival: Arrival): Promise<Arrival> {
    const offer = await unhurried(attempt, () =>
      this.#authorizer?.unprompted?.(call.scopes, attempt.signal),
    )
    if (!offer || call.stream) return arrival
    await readShort(arrival.response, call.what)
    const second = await this.#follow(call, offer.authorization, attempt)
    if (second.response.status < 400) offer.accepted()
    return second
  }

  /** Follows redirects by our own rules: credentials stay with the registry. */
  async #follow(
    call: RegistryCall,
    authorization: string | undefined,
    attempt: Attempt,
  ): Promise<Arrival> {
    let url = typeof call.to === 'string' ? new URL(call.to, this.origin) : call.to
    for (let hops = 0; hops <= MAX_HOPS; hops += 1) {
      const response = await this.#request(url, call, authorization, attempt)
      const isRead = call.method === 'GET' || call.method === 'HEAD'
      const followed = isRead ? REDIRECTS : REPEATING_REDIRECTS
      // What is streamed has gone already.
      if (call.stream || !followed.has(response.status)) return { response, url }
      await readShort(response, call.what)
      url = this.locate(response.headers.get('location'), url, call.what)
    }
    throw new S3loError(
      'UNSUPPORTED',
      `${call.what}: the registry ${this.host} redirects more than ${MAX_HOPS} times`,
    )
  }

  async #request(
    url: URL,
    call: RegistryCall,
    authorization: string | undefined,
    { signal, progress, expectSilence }: Attempt,
  ): Promise<HttpResponse> {
    const isOwn = this.#guard.isOwn(url)
    const headers: Record<string, string> = { 'user-agent': 's3lo', ...call.headers }
    if (isOwn && authorization !== undefined) headers['authorization'] = authorization
    const onSent = (): void => {
      if (call.patienceMs !== undefined) expectSilence(call.patienceMs)
    }
    const body = outgoingBody(call, progress, onSent)
    const size = call.stream?.size ?? call.body?.byteLength
    if (size !== undefined) headers['content-length'] = String(size)
    if (!(body instanceof Readable)) onSent()
    const response = await this.#transport.send(url, { method: call.method, headers, body, signal })
    progress()
    if (isOwn) this.notices.read(response.status, response.headers)
    return response
  }

  /** Asks a URL for the authenticator: every status but a transient failure is an answer. */
  async #fetch(
    url: URL,
    { method, headers, body, signal }: Parameters<HttpFetch>[1],
  ): Promise<HttpAnswer> {
    const what = `the login at ${url.host}`
    const bytes = body === undefined ? undefined : Buffer.from(body)
    // A registry that is reached by TLS must not have passwords sent in the clear.
    if (this.#isDowngrade(this.origin, url)) throw this.#downgrade(what)
    return this.requests.send({ what, signal }, async (attempt) => {
      const request = { method, headers: { 'user-agent': 's3lo', ...headers }, body: bytes }
      const response = await this.#transport.send(url, { ...request, signal: attempt.signal })
      const { status } = response
      if (status === 429 || status >= 500) throw await toStatusError(response, what)
      const answer = `the answer of ${url.host}`
      const content = await readDocument(response, MAX_TOKEN_BYTES, answer, attempt)
      return { status, headers: response.headers, text: (limit) => textOf(content, limit, url) }
    })
  }

  #isDowngrade(from: URL, to: URL): boolean {
    return (
      to.protocol !== 'https:' && (from.protocol === 'https:' || this.origin.protocol === 'https:')
    )
  }

  #downgrade(what: string): S3loError {
    return new S3loError(
      'FORBIDDEN',
      `${what}: the registry ${this.host} leads from TLS to plain HTTP`,
    )
  }
}

/** A search for credentials has limits of its own: a helper may ask a person. */
async function unhurried<T>(
  { expectSilence, progress }: Attempt,
  search: () => Promise<T> | undefined,
): Promise<T | undefined> {
  expectSilence(Infinity)
  try {
    return await search()
  } finally {
    progress()
  }
}

/** Bytes of a token service's answer. */
const MAX_TOKEN_BYTES = 1024 * 1024

function textOf(content: Uint8Array, limit: number, url: URL): Promise<string> {
  if (content.byteLength <= limit) return Promise.resolve(new TextDecoder().decode(content))
  const error = new S3loError(
    'INTEGRITY',
    `the answer of ${url.host} is larger than ${limit} bytes`,
  )
  return Promise.reject(error)
}

/** The error that an answer is. */
async function toStatusError(response: HttpResponse, what: string): Promise<StatusError> {
  return new StatusError(response.status, response.headers, await readShort(response, what))
}
