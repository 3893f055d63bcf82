import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { type Attempt, ForeignAnswerError, httpsAgent } from '@s3lo/core/transfer'

/** One request to a host that is known already. */
export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  /** With its query; encoded already. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Sent one after the other. */
  readonly body?: readonly Uint8Array[] | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Pieces in which a body goes out, so that a slow line differs from a silent one. */
const SLICE_BYTES = 256 * 1024
const USER_AGENT = 's3lo'

/**
 * Sends requests to one origin over connections that are kept. Google's SDK sends no request that
 * can be aborted, and repeats some on its own; so this speaks HTTP itself.
 */
export class HttpClient {
  readonly #origin: URL
  readonly #agent: HttpAgent

  constructor(origin: string, env: Environment) {
    this.#origin = new URL(origin)
    const options = { keepAlive: true, scheduling: 'lifo' } as const
    this.#agent =
      this.#origin.protocol === 'https:' ? httpsAgent(env, options) : new HttpAgent(options)
  }

  /** The answer's head, of any status; its body is on its way. Aborting closes the connection. */
  async send(
    { method, path, headers, body = [] }: HttpRequest,
    { signal, progress }: Attempt,
  ): Promise<IncomingMessage> {
    signal.throwIfAborted()
    const length = body.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const { protocol, hostname, port } = this.#origin
    const start = protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = start({
      protocol,
      // An IPv6 address has no brackets outside a URL.
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      method,
      path,
      agent: this.#agent,
      headers: {
        ...headers,
        'user-agent': USER_AGENT,
        ...(method !== 'GET' && { 'content-length': String(length) }),
      },
    })
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
      void writeBody(outgoing, body, progress)
    })
  }

  /** Closes the connections that are kept. */
  close(): void {
    this.#agent.destroy()
  }
}

/** Never rejects: what goes wrong is an event of the request. */
async function writeBody(
  outgoing: ClientRequest,
  body: readonly Uint8Array[],
  progress: () => void,
): Promise<void> {
  for (const bytes of body) {
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
