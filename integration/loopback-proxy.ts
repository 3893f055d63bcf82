import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'

/** A request as a proxy sees it. */
export interface PassedRequest {
  readonly method: string
  /** Path and query, decoded for reading. */
  readonly url: string
  /** The body of a small POST, which may name an object too; empty for any other request. */
  readonly body: string
}

const SMALL_BYTES = 64 * 1024

/** Runs before a request is passed on, which waits for it. */
export type BeforePass = (request: PassedRequest) => Promise<void>

/** A proxy on loopback in front of an HTTP service, which keeps and can hold what passes. */
export class LoopbackProxy {
  /** What a client uses in place of the service's own URL. */
  readonly url: string
  /** Every request so far. */
  readonly passed: PassedRequest[] = []
  /** Runs before each request is passed on. */
  before: BeforePass = async () => {}
  readonly #upstream: URL
  readonly #server: Server

  private constructor(server: Server, upstream: URL) {
    const { port } = server.address() as AddressInfo
    this.url = `http://127.0.0.1:${port}${upstream.pathname.replace(/\/$/, '')}`
    this.#server = server
    this.#upstream = upstream
    server.on('request', (incoming, response) => {
      this.#pass(incoming, response).catch(() => response.destroy())
    })
  }

  /** Starts a proxy in front of the service at `upstream`. */
  static async start(upstream: string): Promise<LoopbackProxy> {
    const server = createServer({ keepAliveTimeout: 0 })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LoopbackProxy(server, new URL(upstream))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = incoming
    // Everything else is passed on as it comes: a probe looks at what a store does meanwhile.
    const isSmall = method === 'POST' && Number(headers['content-length'] ?? 0) < SMALL_BYTES
    const small = isSmall ? await collect(incoming) : undefined
    const body = small?.toString('latin1') ?? ''
    const about = { method, url: decodeURIComponent(url), body }
    this.passed.push(about)
    await this.before(about)
    const { hostname, port } = this.#upstream
    // The Host header stays what the client signed.
    const outgoing = request({ host: hostname, port, path: url, method, headers })
    const [[answer]] = (await Promise.all([
      once(outgoing, 'response'),
      pipeline(small ? [small] : incoming, outgoing),
    ])) as [[IncomingMessage], void]
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, response)
  }
}

async function collect(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
