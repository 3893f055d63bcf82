import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/** What happens to a request. */
export type FaultKind = '503' | 'reset-before' | 'reset-after' | 'truncated'

export const FAULT_KINDS: readonly FaultKind[] = ['503', 'reset-before', 'reset-after', 'truncated']

/** A loopback proxy in front of a real service that spoils its n-th request. */
export class FaultProxy {
  readonly url: string
  /** Requests since the last {@link spoil}. */
  count = 0
  readonly #server: Server
  #nth = 0
  #kind: FaultKind | undefined

  private constructor(server: Server, path: string) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
  }

  static async start(endpoint: string): Promise<FaultProxy> {
    const { origin, pathname } = new URL(endpoint)
    const server = createServer((incoming, response) => {
      proxy.#pass(origin, incoming, response).catch(() => response.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new FaultProxy(server, pathname)
    return proxy
  }

  /** Spoils the `nth` request from now on, counted from 1; without one, none. */
  spoil(nth = 0, kind?: FaultKind): void {
    this.count = 0
    this.#nth = nth
    this.#kind = kind
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #pass(origin: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.count += 1
    const kind = this.count === this.#nth ? this.#kind : undefined
    const chunks: Buffer[] = []
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
    if (kind === 'reset-before') return void response.destroy()
    if (kind === '503') {
      return void response.writeHead(503, { 'x-ms-error-code': 'ServerBusy' }).end()
    }
    const { method, url = '/', headers } = incoming
    const outgoing = request(new URL(url, origin), {
      method,
      headers: { ...headers, host: new URL(origin).host },
    })
    outgoing.end(Buffer.concat(chunks))
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of answer as AsyncIterable<Buffer>) parts.push(part)
    if (kind === 'reset-after') return void response.destroy()
    const body = Buffer.concat(parts)
    response.writeHead(answer.statusCode ?? 500, answer.headers)
    if (kind !== 'truncated' || body.length === 0) return void response.end(body)
    response.write(body.subarray(0, body.length / 2), () => response.destroy())
  }
}
