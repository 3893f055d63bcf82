import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import type { Agent as SecureAgent } from 'node:https'
import { isIP } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { limitConnect, withReadBuffers } from '@s3lo/core/transfer'
import {
  CONNECT_MS,
  type ConnectionOptions,
  headersOf,
  type HttpConnections,
  type HttpRequest,
  type HttpResponse,
  MAX_CONNECTIONS,
} from './http.ts'

/**
 * Connections by Node's own client: it costs as much per byte as undici, and a tenth of the time to
 * load.
 */
export class DirectConnections implements HttpConnections {
  readonly #options: ConnectionOptions
  #plain: Agent | undefined
  #secure: SecureAgent | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** The answer of a request. Throws what the connection or the request's body fails with. */
  send(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      const request = this.#open(url, { method, headers, ...(signal && { signal }) })
      request.on('error', reject)
      request.once('response', (answer) => {
        this.#arrived(request, answer)
        resolve({
          status: answer.statusCode ?? 0,
          headers: headersOf(answer.headers),
          body: answer,
        })
      })
      limitConnect(request, CONNECT_MS)
      if (!(body instanceof Readable)) request.end(body)
      // A body that fails ends the request with its error, so that the registry keeps nothing of it.
      else pipeline(body, request, (error) => error && reject(error))
    })
  }

  async close(): Promise<void> {
    this.#plain?.destroy()
    this.#secure?.destroy()
  }

  #open(
    url: URL,
    options: Pick<HttpRequest, 'method' | 'headers'> & { readonly signal?: AbortSignal },
  ): ClientRequest {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const place = { host, port: url.port, path: `${url.pathname}${url.search}`, ...options }
    if (url.protocol !== 'https:') {
      this.#plain ??= withReadBuffers(new Agent(this.#agentOptions()))
      return httpRequest({ ...place, agent: this.#plain })
    }
    // Loaded with its first use: registries on this machine have no TLS.
    const { request } = process.getBuiltinModule('node:https')
    this.#secure ??= withReadBuffers(this.#secureAgent())
    return request({ ...place, agent: this.#secure, servername: isIP(host) ? '' : host })
  }

  #secureAgent(): SecureAgent {
    const { ca } = this.#options
    const https = process.getBuiltinModule('node:https')
    if (ca === undefined) return new https.Agent(this.#agentOptions())
    // Made once: of a list, each connection would parse some hundred certificates again.
    const secureContext = process.getBuiltinModule('node:tls').createSecureContext({ ca })
    return new https.Agent({ ...this.#agentOptions(), secureContext })
  }

  #agentOptions() {
    return { keepAlive: true, maxSockets: MAX_CONNECTIONS, lookup: this.#options.lookup }
  }

  #arrived(request: ClientRequest, answer: IncomingMessage): void {
    const { remoteAddress } = answer.socket
    if (remoteAddress !== undefined && !request.reusedSocket)
      this.#options.onConnected?.(remoteAddress)
    // Destroyed without a reader, it must not end the process; a reader gets the error.
    answer.on('error', () => {})
    // An answer before the end of the body leaves a connection that no other request can use.
    answer.once('end', () => request.writableEnded || request.destroy())
  }
}
