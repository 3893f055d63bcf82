import type { Readable } from 'node:stream'
import type { AddressGuard } from './address-guard.ts'

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

/** One request. Of headers, connections add only what HTTP itself needs. */
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

/** Sends requests, each implementation by connections of its own kind. */
export interface HttpConnections {
  send(url: URL, request: HttpRequest): Promise<HttpResponse>
  close(): Promise<void>
}

/** How connections of one kind are made. */
export interface ConnectionOptions {
  readonly lookup: AddressGuard['lookupOwn']
  /** All certificates that are trusted; by default the system's. */
  readonly ca?: string[] | undefined
  /** Gets the address of each connection that was made without a proxy. */
  readonly onConnected?: ((address: string) => void) | undefined
}

/** Milliseconds until a connection is there, TLS and all. */
export const CONNECT_MS = 30_000

/** Connections to one host at once: far more than a copy has in flight, and each has buffers. */
export const MAX_CONNECTIONS = 64

/** The headers of an answer, as Node's and undici's clients give them. */
export function headersOf(
  raw: Readonly<Record<string, string | readonly string[] | undefined>>,
): HttpHeaders {
  return {
    get(name) {
      const value = raw[name.toLowerCase()]
      return typeof value === 'object' ? value.join(', ') : value
    },
  }
}
