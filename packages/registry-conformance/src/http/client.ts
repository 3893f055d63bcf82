import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { connect, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { RegistryUnderTest } from '../registry-under-test.ts'
import { DOCKER_MEDIA, MEDIA } from '../content.ts'
import { Authorizer } from './authorizer.ts'
import { describeExchange, headerOf, type RegistryRequest, type Reply } from './message.ts'

/** Bytes of a body that are read. */
const MAX_BODY = 16 * 1024 * 1024
const MAX_REDIRECTS = 5
const DIGEST = 'docker-content-digest'
const { list, manifest } = DOCKER_MEDIA
const MANIFESTS = [MEDIA.manifest, MEDIA.index, manifest, list, '*/*'].join(', ')
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** One place that a request is sent to. */
interface Hop {
  readonly url: URL
  readonly path: string
  readonly authorization: string | undefined
}

/** Sends requests as they are written, and gives the answers as they come. */
export class RegistryClient {
  readonly base: URL
  readonly authorizer: Authorizer
  /** One line for each exchange since it was last emptied. */
  readonly log: string[] = []
  /** Looks at each answer; what it gives is a fault of the registry. */
  watch: (request: RegistryRequest, reply: Reply) => void = () => {}
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent }
  readonly #timeoutMs: number
  readonly #ca: string | undefined

  constructor({ url, credentials, ca, timeoutMs = 60_000 }: RegistryUnderTest) {
    this.base = new URL(url)
    this.#timeoutMs = timeoutMs
    this.#ca = ca
    this.#agents = {
      http: new HttpAgent({ keepAlive: true }),
      https: new HttpsAgent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) }),
    }
    this.authorizer = new Authorizer(credentials, (request) => this.#follow(request))
  }

  /** Sends a request; a 401 is answered with credentials, redirects of GET and HEAD are followed. */
  async send(request: RegistryRequest): Promise<Reply> {
    try {
      let reply = await this.#follow(request)
      if (await this.authorizer.take(request, reply)) reply = await this.#follow(request)
      this.log.push(describeExchange(request, reply))
      this.watch(request, reply)
      return reply
    } catch (error) {
      this.log.push(describeExchange(request, error as Error))
      throw error
    }
  }

  /**
   * Writes bytes on a connection of their own, and gives everything that comes back. With the first
   * byte of it the client's side is closed, so that a registry closes too when it has answered all.
   */
  raw(bytes: string | Uint8Array): Promise<string> {
    const port = Number(this.base.port || (this.base.protocol === 'https:' ? 443 : 80))
    const host = this.base.hostname.replaceAll(/^\[|\]$/g, '')
    const ca = this.#ca === undefined ? {} : { ca: this.#ca }
    const socket =
      this.base.protocol === 'https:'
        ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ca })
        : connect({ host, port })
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      const end = (): void => resolve(Buffer.concat(chunks).toString('latin1'))
      socket.setTimeout(this.#timeoutMs, () => {
        socket.destroy()
        reject(new Error('expected an answer or a closed connection, got silence'))
      })
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        socket.end()
      })
      // A registry may reset the connection as soon as it has seen enough.
      socket.on('error', (error) => (chunks.length > 0 || isReset(error) ? end() : reject(error)))
      socket.on('close', end)
      socket.write(bytes)
    })
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #follow(request: RegistryRequest): Promise<Reply> {
    let url = new URL(request.path, this.base)
    // A URL would be made better: `%2e%2e` and its like have to arrive as they are.
    let path = request.path.startsWith('/') ? request.path : url.pathname + url.search
    let named: string | undefined
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      // No other host gets the credentials, except the token service that is asked with its own.
      const isHere = url.origin === this.base.origin || (hops === 0 && request.authorization)
      const authorization = isHere ? this.authorizer.headerFor(request) : undefined
      const reply = await this.#once(request, { url, path, authorization })
      const location = headerOf(reply, 'location')
      const isRead = request.method === 'GET' || request.method === 'HEAD'
      if (!isRead || !REDIRECTS.has(reply.status) || location === undefined) {
        return withDigest(reply, named)
      }
      named ??= headerOf(reply, DIGEST)
      url = new URL(location, url)
      path = url.pathname + url.search
    }
    throw new Error(`expected at most ${MAX_REDIRECTS} redirects, got more`)
  }

  /** Again where a connection that had been idle was closed before the registry saw the request. */
  async #once(request: RegistryRequest, hop: Hop): Promise<Reply> {
    const attempt = (): Promise<Reply> => this.#exchange(request, hop)
    try {
      return await attempt()
    } catch (error) {
      if (error instanceof StaleConnection && request.cutAt === undefined) return attempt()
      throw error
    }
  }

  #exchange(request: RegistryRequest, { url, path, authorization }: Hop): Promise<Reply> {
    const { method, body, streamed = false, cutAt } = request
    const isTls = url.protocol === 'https:'
    const headers: Record<string, string | number> = { ...request.headers }
    // As all clients do; a registry may have nothing for one that takes nothing.
    if (/\/v2\/.*\/manifests\//.test(url.pathname)) headers['accept'] ??= MANIFESTS
    if (headers['accept'] === '') delete headers['accept']
    if (authorization !== undefined) headers['authorization'] = authorization
    if (body !== undefined && !streamed) headers['content-length'] ??= body.byteLength
    if (body === undefined && method.startsWith('P')) headers['content-length'] ??= 0
    return new Promise((resolve, reject) => {
      const options = {
        method,
        headers,
        path,
        agent: cutAt === undefined ? this.#agents[isTls ? 'https' : 'http'] : false,
        timeout: this.#timeoutMs,
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      }
      const sent = (isTls ? requestHttps : requestHttp)(url, options)
      let answered = false
      sent.on('response', (response) => {
        answered = true
        readReply(method, url, response).then(resolve, reject)
      })
      sent.on('timeout', () => sent.destroy(new Error('expected an answer, got silence')))
      sent.on('error', (error) => {
        // A registry may answer before it has read the body, and close.
        if (answered) return
        reject(sent.reusedSocket && isReset(error) ? new StaleConnection(error.message) : error)
      })
      sendBody(sent, request)
    })
  }
}

function sendBody(sent: ClientRequest, { body, streamed, cutAt, half }: RegistryRequest): void {
  if (body === undefined) return void sent.end()
  if (cutAt !== undefined) {
    const cut = (): unknown => sent.destroy(new Error('the body was cut off'))
    return void sent.write(body.subarray(0, cutAt), cut)
  }
  if (!streamed && half === undefined) return void sent.end(body)
  const middle = Math.ceil(body.byteLength / 2)
  sent.write(body.subarray(0, middle))
  void (half ?? Promise.resolve()).then(() => sent.end(body.subarray(middle)))
}

class StaleConnection extends Error {}

function isReset(error: Error): boolean {
  return ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')
}

async function readReply(method: string, url: URL, response: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > MAX_BODY) throw new Error(`expected at most ${MAX_BODY} bytes, got more`)
    chunks.push(chunk)
  }
  const { rawHeaders, headers, statusCode = 0 } = response
  const values = (name: string): string[] =>
    rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
  return { method, url, status: statusCode, headers, values, body: Buffer.concat(chunks) }
}

/** A store that a registry redirects to knows no digests: the redirect has named it. */
function withDigest(reply: Reply, digest: string | undefined): Reply {
  if (digest === undefined || headerOf(reply, DIGEST) !== undefined) return reply
  const headers = { ...reply.headers, [DIGEST]: digest }
  return {
    ...reply,
    headers,
    values: (name) => (name === DIGEST ? [digest] : reply.values(name)),
  }
}
