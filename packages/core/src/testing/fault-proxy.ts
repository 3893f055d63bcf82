import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What happens to a request. `500`, `503` and `429` answer for the service; `silence` never
 * answers; `reset-before` breaks the connection before the service hears of it, `reset-after` when
 * it has done what was asked; `truncated` and `wrong-length` spoil the answer's end, `bit-flip` one
 * bit of its body, `bit-flip-up` one of the request's. `page` and `nothing` answer 200 for the
 * service, with a web page and with an empty body; `cut` sends half of the answer as if it were whole.
 */
export type FaultKind = (typeof FAULT_KINDS)[number]

export const FAULT_KINDS = [
  '500',
  '503',
  '429',
  'silence',
  'reset-before',
  'reset-after',
  'truncated',
  'wrong-length',
  'bit-flip',
  'bit-flip-up',
  'page',
  'nothing',
  'cut',
] as const

/** What a proxy in front of a service answers for it. */
const PAGE = '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>'

/** Bytes of a request or answer that the proxy can hold. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

/** A loopback HTTP proxy in front of a service, which breaks the chosen request. */
export class FaultProxy {
  /** What a client uses in place of the service's own URL. */
  readonly url: string
  /** Requests since the last {@link spoil}. */
  count = 0
  readonly #upstream: URL
  readonly #server: Server
  #spoils: (nth: number) => FaultKind | undefined = () => undefined

  private constructor(server: Server, upstream: URL) {
    const { port } = server.address() as AddressInfo
    this.url = `http://127.0.0.1:${port}${upstream.pathname.replace(/\/$/, '')}`
    this.#server = server
    this.#upstream = upstream
    server.on('request', (incoming, response) => {
      this.#pass(incoming, response).catch(() => response.destroy())
    })
  }

  /** Starts a proxy in front of the HTTP service at `upstream`. */
  static async start(upstream: string): Promise<FaultProxy> {
    const server = createServer({ keepAliveTimeout: 0 })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FaultProxy(server, new URL(upstream))
  }

  /** Spoils the `nth` request from now on, counted from 1; without one, none. */
  spoil(nth?: number, kind?: FaultKind): void {
    this.count = 0
    this.#spoils = (count) => (count === nth ? kind : undefined)
  }

  /** Spoils the `nth` request from now on and all that follow. */
  spoilFrom(nth: number, kind: FaultKind): void {
    this.count = 0
    this.#spoils = (count) => (count >= nth ? kind : undefined)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.count += 1
    const kind = this.#spoils(this.count)
    const sent = await collect(incoming)
    switch (kind) {
      case 'reset-before':
        return void response.destroy()
      case 'silence':
        return
      case '500':
      case '503':
      case '429':
        return void response.writeHead(Number(kind), { 'retry-after': '0' }).end()
      case 'page':
      case 'nothing':
        return answerFor(kind, incoming.method, response)
      default:
        return this.#forward(
          incoming,
          kind === 'bit-flip-up' ? flipped(sent) : sent,
          response,
          kind,
        )
    }
  }

  async #forward(
    { method = 'GET', url = '/', headers }: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
    kind: FaultKind | undefined,
  ): Promise<void> {
    const { hostname, port } = this.#upstream
    // The Host header stays what the client signed.
    const outgoing = request({
      host: hostname,
      port,
      path: url,
      method,
      headers: endToEnd(headers),
    })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    const content = await collect(answer)
    if (kind === 'reset-after') return void response.destroy()
    const answerHeaders = endToEnd(answer.headers)
    if (kind === 'wrong-length' && content.length > 0) {
      answerHeaders['content-length'] = String(content.length - 1)
    }
    if (kind === 'cut' && content.length > 0) {
      answerHeaders['content-length'] = String(content.length >> 1)
    }
    response.writeHead(answer.statusCode ?? 502, answerHeaders)
    switch (kind) {
      case 'truncated':
        response.flushHeaders()
        if (content.length < 2) return void response.destroy()
        return void response.write(content.subarray(0, content.length / 2), () =>
          response.destroy(),
        )
      case 'wrong-length':
        return void response.end(content.subarray(0, Math.max(0, content.length - 1)))
      case 'bit-flip':
        return void response.end(flipped(content))
      case 'cut':
        return void response.end(content.subarray(0, content.length >> 1))
      default:
        return void response.end(content)
    }
  }
}

function answerFor(
  kind: 'page' | 'nothing',
  method: string | undefined,
  response: ServerResponse,
): void {
  const text = kind === 'page' ? PAGE : ''
  response.writeHead(200, {
    ...(text !== '' && { 'content-type': 'text/html; charset=utf-8' }),
    'content-length': text.length,
  })
  response.end(method === 'HEAD' ? '' : text)
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error('too long for a fault proxy')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The same bytes but for one bit in the middle. */
function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const place = copy.length >> 1
  if (copy.length > 0) copy.writeUInt8(copy.readUInt8(place) ^ 1, place)
  return copy
}

/** Without the headers that belong to one connection. */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const own = new Set(['connection', 'keep-alive', 'transfer-encoding'])
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !own.has(name)))
}
