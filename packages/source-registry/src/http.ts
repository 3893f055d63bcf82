import type { Readable } from 'node:stream'
import { getCACertificates } from 'node:tls'
import type { buildConnector as Connectors, Dispatcher } from 'undici'
// A part of undici by each of its files: all of it costs a tenth of a second of CPU to load.
import request from 'undici/lib/api/api-request.js'
import buildConnector from 'undici/lib/core/connect.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js'
import type { AddressGuard } from './address-guard.ts'
import { isLoopbackHost } from './loopback-host.ts'

/** The headers of an answer; names in any case. */
export interface HttpHeaders {
  /** The value; where the header came several times, the values joined by `, `. */
  get(name: string): string | undefined
}

/** An answer whose body is small, or of no interest. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: HttpHeaders
  /** The body as text. Throws `INTEGRITY` past `limit` bytes. */
  text(limit: number): Promise<string>
}

/** What is asked of a URL besides the URL. */
export interface HttpInit {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Asks a URL, as a token service is asked: redirects are not followed, transient failures are
 * retried, and every other status is an answer. Throws s3lo errors.
 */
export type HttpFetch = (url: URL, init: HttpInit) => Promise<HttpAnswer>

/** Connections to one host at once. */
const MAX_CONNECTIONS = 64

/** One request; nothing is added to its headers. */
export interface HttpRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | Readable | undefined
  readonly signal?: AbortSignal | undefined
}

/** An answer with its body under way: to be consumed or destroyed. */
export interface HttpResponse {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: Readable
}

/** How connections are made. */
export interface HttpTransportOptions {
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are read, in either case. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Certificates (PEM) that are trusted beside those of the system. */
  readonly tlsCa?: string | undefined
  readonly guard: AddressGuard
}

/**
 * Connections to a registry and to where it sends us. It retries nothing and follows no redirect;
 * loopback is never asked through a proxy.
 */
export class HttpTransport {
  readonly #guard: AddressGuard
  readonly #own: Dispatchers
  readonly #foreign: Dispatchers

  constructor({ env, tlsCa, guard }: HttpTransportOptions) {
    this.#guard = guard
    const learn = (address: string): void => guard.learn(address)
    this.#own = new Dispatchers(env, tlsCa, { lookup: guard.lookupOwn, onConnected: learn })
    this.#foreign = new Dispatchers(env, tlsCa, { lookup: guard.lookupForeign })
  }

  /** Sends one request. Throws `FORBIDDEN` for an address that a registry must not name. */
  async send(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    const own = this.#guard.isOwn(url)
    if (!own) this.#guard.assertAllowed(url)
    const answer = await request.call((own ? this.#own : this.#foreign).for(url), {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      body: body ?? null,
      signal: signal ?? null,
      // Silence is noticed by whoever makes the attempt, in one place.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    // Destroyed with nobody reading, it must not take the process along; who reads gets the error.
    answer.body.on('error', () => {})
    return { status: answer.statusCode, headers: headersOf(answer.headers), body: answer.body }
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#foreign.close()])
  }
}

/** How the hosts of connections are found, and who is told the addresses of those without a proxy. */
interface Routing {
  readonly lookup: AddressGuard['lookupOwn']
  readonly onConnected?: (address: string) => void
}

/** Connections of one kind, through a proxy where there is one. Made when first needed. */
class Dispatchers {
  readonly #env: HttpTransportOptions['env']
  readonly #tlsCa: string | undefined
  readonly #routing: Routing
  #direct: Agent | undefined
  #proxied: EnvHttpProxyAgent | undefined

  constructor(env: HttpTransportOptions['env'], tlsCa: string | undefined, routing: Routing) {
    this.#env = env
    this.#tlsCa = tlsCa
    this.#routing = routing
  }

  for(url: URL): Dispatcher {
    const http = this.#variable('http_proxy')
    const https = this.#variable('https_proxy')
    if (isLoopbackHost(url.hostname) || (http === '' && https === '')) {
      return (this.#direct ??= new Agent(this.#options()))
    }
    return (this.#proxied ??= new EnvHttpProxyAgent({
      ...this.#options(),
      requestTls: this.#trust(),
      httpProxy: http,
      httpsProxy: https,
      noProxy: this.#variable('no_proxy'),
    }))
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct?.destroy(), this.#proxied?.destroy()])
  }

  #options(): Agent.Options {
    return {
      // One body fills one connection; streams that share one would wait for each other.
      allowH2: false,
      // Far more than a copy has in flight; each has buffers of its own.
      connections: MAX_CONNECTIONS,
      connect: this.#connector(),
    }
  }

  #connector(): Connectors.connector {
    const { lookup, onConnected } = this.#routing
    const connect = buildConnector({ lookup, allowH2: false, timeout: 30_000, ...this.#trust() })
    return (options, done) => {
      connect(options, (...outcome) => {
        const address = outcome[1]?.remoteAddress
        if (address !== undefined) onConnected?.(address)
        done(...outcome)
      })
    }
  }

  #trust(): { readonly ca?: string[] } {
    return this.#tlsCa === undefined ? {} : { ca: [...getCACertificates('default'), this.#tlsCa] }
  }

  /** As curl reads it: lower case first. */
  #variable(name: string): string {
    return this.#env[name] ?? this.#env[name.toUpperCase()] ?? ''
  }
}

function headersOf(raw: Readonly<Record<string, string | string[] | undefined>>): HttpHeaders {
  return {
    get(name) {
      const value = raw[name.toLowerCase()]
      return Array.isArray(value) ? value.join(', ') : value
    },
  }
}
