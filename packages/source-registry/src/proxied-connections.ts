// A part of undici by each of its files: all of it costs a tenth of a second of CPU to load.
import request from 'undici/lib/api/api-request.js'
import buildConnector from 'undici/lib/core/connect.js'
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js'
import {
  CONNECT_MS,
  type ConnectionOptions,
  headersOf,
  type HttpConnections,
  type HttpRequest,
  type HttpResponse,
  MAX_CONNECTIONS,
} from './http.ts'

/** The URLs of proxies, empty where there is none, and the hosts that are reached without one. */
export interface Proxies {
  readonly httpProxy: string
  readonly httpsProxy: string
  readonly noProxy: string
}

/** Connections through the proxies of an environment: undici knows those, and Node only since 22.21. */
export class ProxiedConnections implements HttpConnections {
  readonly #agent: EnvHttpProxyAgent

  constructor(proxies: Proxies, { lookup, ca, onConnected }: ConnectionOptions) {
    const trust = ca === undefined ? {} : { ca }
    const connect = buildConnector({ lookup, allowH2: false, timeout: CONNECT_MS, ...trust })
    this.#agent = new EnvHttpProxyAgent({
      ...proxies,
      // One body fills one connection; streams that share one would wait for each other.
      allowH2: false,
      connections: MAX_CONNECTIONS,
      requestTls: trust,
      connect: (options, done) => {
        connect(options, (...outcome) => {
          const address = outcome[1]?.remoteAddress
          if (address !== undefined) onConnected?.(address)
          done(...outcome)
        })
      },
    })
  }

  async send(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    const answer = await request.call(this.#agent, {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      body: body ?? null,
      signal: signal ?? null,
      // The caller of an attempt notices silence, in one place.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    // Destroyed without a reader, it must not end the process; a reader gets the error.
    answer.body.on('error', () => {})
    return { status: answer.statusCode, headers: headersOf(answer.headers), body: answer.body }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}
