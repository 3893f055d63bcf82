import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from 'node:http'
import { Agent as SecureAgent, request as httpsRequest } from 'node:https'
import { type CallOptions, parseJson, readAll, S3loError } from '@s3lo/core'
import { withReadBuffers } from '@s3lo/core/transfer'
import { asError } from '../stream/abortable.ts'
import type { EngineAddress } from './engine-address.ts'
import { toConnectionError, toStatusError } from './engine-error.ts'
import { upload } from './upload.ts'

/** How long an engine may keep us waiting (milliseconds). */
export interface EngineTimeouts {
  readonly connectMs: number
  /** Between two signs of life while it answers a question. */
  readonly idleMs: number
  /** The same while it saves or loads: it may unpack or pack a whole image before it says a word. */
  readonly transferIdleMs: number
}

export const ENGINE_TIMEOUTS: EngineTimeouts = {
  connectMs: 10_000,
  idleMs: 60_000,
  transferIdleMs: 30 * 60_000,
}

/** The largest answer in JSON that is read (bytes). */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/** What a request is about. */
export interface EngineRequest extends CallOptions {
  readonly method?: 'GET' | 'POST'
  /** With the API version, without a host: `/v1.41/info`. */
  readonly path: string
  /** For messages: `image app:1`. */
  readonly what: string
  readonly idleMs?: number
  /** Content to send; it decides when the request ends. */
  readonly body?: AsyncIterable<Uint8Array>
}

/** The body of an answer; `return` frees the connection. */
export interface EngineBytes extends AsyncIterableIterator<Buffer, undefined> {
  return(): Promise<IteratorResult<Buffer, undefined>>
}

/** Speaks HTTP to one engine; every failure comes as an `S3loError`, an abort as its reason. */
export class EngineClient {
  readonly address: EngineAddress
  readonly timeouts: EngineTimeouts
  readonly #agent: Agent

  constructor(address: EngineAddress, timeouts: EngineTimeouts = ENGINE_TIMEOUTS) {
    this.address = address
    this.timeouts = timeouts
    this.#agent = withReadBuffers(
      address.kind === 'tcp' && address.tls
        ? new SecureAgent({ keepAlive: true, ...address.tls })
        : new Agent({ keepAlive: true }),
    )
  }

  /** An answer in JSON. Throws by status: `NOT_FOUND`, `UNAVAILABLE`, … */
  async getJson(path: string, what: string, options: CallOptions = {}): Promise<unknown> {
    const answer = await this.send({ path, what, ...options })
    return parseJson(await this.#read(answer, what, options), `the engine's answer about ${what}`)
  }

  /** The headers of the answer. */
  async getHeaders(path: string, options: CallOptions = {}): Promise<IncomingMessage['headers']> {
    const answer = await this.send({ path, what: path, ...options })
    await this.#read(answer, path, options)
    return answer.headers
  }

  /** The answer of a request that succeeded; its body is to be read or destroyed. */
  async send(options: EngineRequest): Promise<IncomingMessage> {
    options.signal?.throwIfAborted()
    const answer = await this.#exchange(options)
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) return answer
    const body = await this.#read(answer, options.what, options)
    throw toStatusError(status, errorMessage(body), options.what)
  }

  /**
   * The bytes of an answer, in order, with failures of the connection translated. No generator:
   * a layer passes here in very many small pieces.
   */
  bytes(answer: IncomingMessage, { signal }: CallOptions = {}): EngineBytes {
    const chunks = (answer as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
    const fail = (error: unknown): never => {
      signal?.throwIfAborted()
      throw toConnectionError(error, this.address)
    }
    const bytes: EngineBytes = {
      next: () => chunks.next().catch(fail),
      return: () => {
        answer.destroy()
        return Promise.resolve({ done: true, value: undefined })
      },
      [Symbol.asyncIterator]: () => bytes,
    }
    return bytes
  }

  close(): void {
    this.#agent.destroy()
  }

  async #exchange(options: EngineRequest): Promise<IncomingMessage> {
    const { signal, body } = options
    const request = this.#open(options)
    this.#watch(request, options)
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.once('error', reject)
    })
    answered.catch(() => {}) // Awaited below; until then an error must not count as unhandled.
    try {
      if (body) await upload(request, body)
      else request.end()
    } catch (error) {
      request.destroy() // A body that fails ends the request, so that the engine keeps nothing of it.
      signal?.throwIfAborted()
      throw error
    }
    try {
      return await answered
    } catch (error) {
      request.destroy()
      signal?.throwIfAborted()
      throw toConnectionError(error, this.address)
    }
  }

  #open({ method = 'GET', path, body }: EngineRequest): ClientRequest {
    const headers = {
      'User-Agent': 's3lo',
      ...(body ? { 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' } : {}),
    }
    const common: RequestOptions = { agent: this.#agent, method, path, headers }
    if (this.address.kind === 'socket') {
      // Engines refuse the path of a socket as a host; any name will do.
      return httpRequest({ ...common, socketPath: this.address.path, host: 'docker' })
    }
    const { host, port, tls } = this.address
    return tls ? httpsRequest({ ...common, host, port }) : httpRequest({ ...common, host, port })
  }

  /** Ends the exchange when it is aborted, cannot connect, or stands still through the engine's fault. */
  #watch(request: ClientRequest, { signal, idleMs = this.timeouts.idleMs }: EngineRequest): void {
    let answer: IncomingMessage | undefined
    const end = (error: Error): void => {
      answer?.destroy(error)
      request.destroy(error)
    }
    const abort = (): void => end(asError(signal?.reason))
    signal?.addEventListener('abort', abort, { once: true })
    request.once('close', () => signal?.removeEventListener('abort', abort))
    // The agent may give an idle socket whose error comes before the request's own handlers.
    request.on('error', () => {})
    request.once('response', (message) => {
      answer = message
      // An answer before the end of the body leaves a connection that cannot be used again.
      message.once('end', () => request.writableEnded || request.destroy())
    })
    this.#limitConnect(request, end)
    request.setTimeout(idleMs)
    request.on('timeout', () => {
      if (isOurTurn(request, answer)) request.setTimeout(idleMs)
      else
        end(
          new S3loError('UNAVAILABLE', `the docker engine at ${this.address.text} does not answer`),
        )
    })
  }

  #limitConnect(request: ClientRequest, end: (error: Error) => void): void {
    request.once('socket', (socket) => {
      if (!socket.connecting) return
      const { text } = this.address
      const timer = setTimeout(() => {
        end(
          new S3loError(
            'UNAVAILABLE',
            `docker engine is not reachable at ${text}: it does not answer`,
          ),
        )
      }, this.timeouts.connectMs)
      const stop = (): void => clearTimeout(timer)
      socket.once('connect', stop).once('close', stop)
    })
  }

  async #read(answer: IncomingMessage, what: string, { signal }: CallOptions): Promise<Uint8Array> {
    try {
      return await readAll(answer, MAX_ANSWER_BYTES, `the engine's answer about ${what}`)
    } catch (error) {
      signal?.throwIfAborted()
      throw toConnectionError(error, this.address)
    }
  }
}

/** A silence is not the engine's when we have not read what it sent, or not sent what it waits for. */
function isOurTurn(request: ClientRequest, answer: IncomingMessage | undefined): boolean {
  if (answer) return answer.readableLength > 0
  return !request.writableEnded && !request.writableNeedDrain
}

/** `{"message": …}`, as every engine words its errors; else the start of what it sent. */
function errorMessage(body: Uint8Array): string {
  const text = Buffer.from(body).toString('utf8').trim()
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed) {
      return String(parsed.message).slice(0, 1000)
    }
  } catch {
    // Not JSON: a proxy's page, or nothing. Its text is all there is to show.
  }
  return text.slice(0, 200) || 'no reason given'
}
