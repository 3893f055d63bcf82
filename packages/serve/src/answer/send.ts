import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { recycle } from '@s3lo/core/plugin'
import type { Answer, AnswerHeaders } from './answer.ts'
import { COMMON_HEADERS } from './headers.ts'

/** Statuses whose answers have no content (RFC 9110, 6.4.1). */
const WITHOUT_CONTENT: ReadonlySet<number> = new Set([204, 304])

/** How an answer went out. */
export interface Sent {
  /** Bytes of its body. */
  readonly bytes: number
  /** True where the connection ended before the body did. */
  readonly isCut: boolean
  /** What the body failed with. */
  readonly error?: unknown
}

export interface SendOptions {
  /** The body is not sent. */
  readonly isHead: boolean
  /** Called with the bytes of a stream as they pass. */
  readonly passed?: ((bytes: number) => void) | undefined
}

/** Writes an answer. A body that fails destroys the connection: a client never takes it for whole. Never throws. */
export async function sendAnswer(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { isHead, passed }: SendOptions,
): Promise<Sent> {
  if (response.destroyed) {
    destroy(body)
    return { bytes: 0, isCut: true }
  }
  const content = typeof body === 'string' ? Buffer.from(body) : body
  response.writeHead(status, fullHeaders(status, headers, content))
  if (content === undefined || isHead) {
    destroy(body)
    response.end()
    return { bytes: 0, isCut: false }
  }
  if (!(content instanceof Uint8Array)) return sendStream(response, content, passed)
  response.end(content)
  return { bytes: content.byteLength, isCut: false }
}

function fullHeaders(
  status: number,
  headers: AnswerHeaders = {},
  content: Uint8Array | Readable | undefined,
): Record<string, string | number | string[]> {
  const all = { ...COMMON_HEADERS, ...headers } as Record<string, string | number | string[]>
  if ('content-length' in all || WITHOUT_CONTENT.has(status)) return all
  if (content === undefined) all['content-length'] = 0
  else if (content instanceof Uint8Array) all['content-length'] = content.byteLength
  return all
}

function destroy(body: Answer['body']): void {
  if (typeof body !== 'object' || body instanceof Uint8Array) return
  body.on('error', () => {})
  body.destroy()
}

/**
 * Sends a stream, always one chunk behind it: a stream that is verified fails at its end, and then
 * its last bytes must not have gone out.
 */
function sendStream(
  response: ServerResponse,
  body: Readable,
  passed?: (bytes: number) => void,
): Promise<Sent> {
  return new Promise((resolve) => {
    let held: Buffer | undefined
    let bytes = 0
    const finish = (isCut: boolean, error?: unknown): void => {
      resolve({ bytes, isCut, ...(error === undefined ? {} : { error }) })
    }
    body.on('data', (chunk: Buffer) => {
      passed?.(chunk.byteLength)
      const ready = held
      held = chunk
      if (ready === undefined) return
      bytes += ready.byteLength
      if (!response.write(ready, (error) => error || recycle(ready))) body.pause()
    })
    response.on('drain', () => body.resume())
    body.once('end', () => {
      bytes += held?.byteLength ?? 0
      response.end(held)
    })
    body.once('error', (error) => {
      response.destroy()
      finish(true, error)
    })
    response.once('finish', () => finish(false))
    response.once('close', () => {
      if (!response.writableFinished) destroy(body)
      finish(!response.writableFinished)
    })
  })
}
