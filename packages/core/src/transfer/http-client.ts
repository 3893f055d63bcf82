import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import type { AgentOptions } from 'node:https'
import { ForeignAnswerError } from './answer.ts'
import { hasProxy, httpsAgent } from './proxy-agent.ts'
import { withReadBuffers } from './read-buffers.ts'
import type { Attempt } from './requests.ts'

/** One request to a host that is known already. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  /** With its query; encoded already. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Sent one after the other. */
  readonly body?: readonly Uint8Array[] | undefined
  /** Called when the first of the body is on its way: the rest follows once it resolves. */
  readonly hold?: (() => Promise<void>) | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Pieces in which a body goes out, so that a slow line differs from a silent one. */
const SLICE_BYTES = 256 * 1024
/** What a connection may take to come about, TLS included (milliseconds). */
const CONNECT_MS = 10_000
const USER_AGENT = 's3lo'

/**
 * Sends requests over connections that are kept, each of which an abort ends. It repeats none and
 * follows no redirection. TLS is loaded with the first request that needs it.
 */
export class HttpClient {
  readonly #env: Environment
  readonly #options: AgentOptions
  readonly #agents = new Map<string, HttpAgent>()

  /** `env` names the proxies; `options` are those of every connection. */
  constructor(env: Environment, options: AgentOptions = {}) {
    this.#env = env
    this.#options = { keepAlive: true, scheduling: 'lifo', ...options }
  }

  /** The connections of a URL's protocol, for a library that sends requests over them itself. */
  agentOf(protocol: string): HttpAgent {
    const known = this.#agents.get(protocol)
    if (known) return known
    const agent = this.#newAgent(protocol)
    this.#agents.set(protocol, agent)
    return agent
  }

  /** The answer's head, of any status; its body is on its way. Aborting closes the connection. */
  async send(
    { protocol, hostname, port }: URL,
    { method, path, headers, body = [], hold }: HttpRequest,
    { signal, progress }: Attempt,
  ): Promise<IncomingMessage> {
    signal.throwIfAborted()
    const length = body.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const hasBody = method !== 'GET' && method !== 'HEAD'
    const outgoing = starterOf(protocol)({
      protocol,
      // An IPv6 address has no brackets outside a URL.
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      method,
      path,
      agent: this.agentOf(protocol),
      headers: {
        ...headers,
        'user-agent': USER_AGENT,
        ...(hasBody && { 'content-length': String(length) }),
      },
    })
    limitConnect(outgoing, CONNECT_MS)
    return new Promise((resolve, reject) => {
      const stop = (): void => void outgoing.destroy(new Error('the request was aborted'))
      signal.addEventListener('abort', stop, { once: true })
      outgoing.once('close', () => signal.removeEventListener('abort', stop))
      outgoing.on('error', reject)
      outgoing.once('response', (response) => {
        progress()
        // Its reader gets the error; it may have none.
        response.on('error', () => {})
        // A refusal can come before all of the body has gone out: the rest would be for nothing.
        response.once('end', () => {
          if (!outgoing.writableFinished) outgoing.destroy()
        })
        resolve(response)
      })
      void writeBody(outgoing, { body, hold }, progress)
    })
  }

  #newAgent(protocol: string): HttpAgent {
    if (protocol !== 'https:') return withReadBuffers(new HttpAgent(this.#options))
    const agent = httpsAgent(this.#env, this.#options)
    return hasProxy(this.#env) ? agent : withReadBuffers(agent)
  }

  /** Closes the connections that are kept. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
  }
}

function starterOf(protocol: string): typeof httpRequest {
  return protocol === 'https:' ? process.getBuiltinModule('node:https').request : httpRequest
}

/** Ends a request whose connection does not come about: what is silent later is the caller's to judge. */
export function limitConnect(request: ClientRequest, ms: number): void {
  request.once('socket', (socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(() => {
      const late = new Error(`no connection within ${ms / 1000} s`)
      request.destroy(Object.assign(late, { code: 'ETIMEDOUT' }))
    }, ms)
    const stop = (): void => clearTimeout(timer)
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stop).once('close', stop)
  })
}

/** Never rejects: what goes wrong is an event of the request. */
async function writeBody(
  outgoing: ClientRequest,
  { body = [], hold }: Pick<HttpRequest, 'body' | 'hold'>,
  progress: () => void,
): Promise<void> {
  for (const [index, bytes] of body.entries()) {
    if (index === 1 && !(await isReleased(outgoing, hold))) return
    for (let start = 0; start < bytes.byteLength; start += SLICE_BYTES) {
      const slice = bytes.subarray(start, start + SLICE_BYTES)
      const isGone = await new Promise((resolve) => {
        if (outgoing.destroyed) resolve(true)
        else outgoing.write(slice, (error) => resolve(error))
      })
      if (isGone) return
      progress()
    }
  }
  outgoing.end()
}

async function isReleased(outgoing: ClientRequest, hold: HttpRequest['hold']): Promise<boolean> {
  try {
    await hold?.()
    return true
  } catch (error) {
    outgoing.destroy(error instanceof Error ? error : new Error('the body was held back'))
    return false
  }
}

/** The whole body of an answer. Throws {@link ForeignAnswerError} when it is longer than `limit` bytes. */
export async function readAnswer(
  response: IncomingMessage,
  limit: number,
  progress: () => void,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.byteLength
    if (length > limit) throw new ForeignAnswerError('the answer is too long')
    chunks.push(chunk)
    progress()
  }
  return Buffer.concat(chunks, length)
}
