import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** An HTTP server on a Unix socket that answers as a test tells it to, like an engine. */
export class FakeEngine {
  readonly host: string
  readonly requests: string[] = []
  readonly #server: Server
  readonly #folder: string
  readonly #routes = new Map<string, Handler>()

  private constructor(folder: string, server: Server) {
    this.#folder = folder
    this.#server = server
    this.host = `unix://${join(folder, 'engine.sock')}`
  }

  static async start(
    options: {
      readonly api?: string
      readonly kind?: 'graphdriver' | 'containerd' | 'podman'
    } = {},
  ): Promise<FakeEngine> {
    const { api = '1.45', kind = 'graphdriver' } = options
    const folder = await mkdtemp(join(tmpdir(), 's3lo-engine-'))
    const server = createServer((request, response) => {
      engine.#answer(request, response).catch((error: unknown) => response.destroy(error as Error))
    })
    const engine = new FakeEngine(folder, server)
    engine.on('GET /_ping', (_request, response) => {
      response.setHeader('Api-Version', api)
      if (kind === 'podman') response.setHeader('Libpod-Api-Version', '4.3.1')
      response.end('OK')
    })
    const store = kind === 'containerd' ? [['driver-type', 'io.containerd.snapshotter.v1']] : []
    engine.json(`GET /v${api}/info`, { DriverStatus: [['Backing Filesystem', 'extfs'], ...store] })
    server.listen(join(folder, 'engine.sock'))
    await once(server, 'listening')
    return engine
  }

  /** Answers `METHOD /path`, query left out. */
  on(route: string, handler: Handler): void {
    this.#routes.set(route, handler)
  }

  json(route: string, value: unknown, status = 200): void {
    this.on(route, (_request, response) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
    })
  }

  bytes(route: string, content: Uint8Array): void {
    this.on(route, (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/x-tar' }).end(content)
    })
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = decodeURIComponent(request.url ?? '')
    this.requests.push(`${request.method} ${url}`)
    const handler = this.#routes.get(`${request.method} ${url.split('?')[0]}`)
    if (handler) await handler(request, response)
    else response.writeHead(404).end(JSON.stringify({ message: `no such image: ${url}` }))
  }
}

/** A request's body, whole. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
