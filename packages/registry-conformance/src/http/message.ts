import type { IncomingHttpHeaders } from 'node:http'

/** A request, as it is sent. */
export interface RegistryRequest {
  readonly method: string
  /** An absolute path with its query, or a whole URL, such as a `Location`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Sends the body without its length (`Transfer-Encoding: chunked`). */
  readonly streamed?: boolean
  /** Until it resolves, the second half of the body is held back. */
  readonly half?: Promise<void>
  /** Breaks the connection after so many bytes of the body; the answer is then an error. */
  readonly cutAt?: number
  /** `none` sends no credentials, a text is sent as `Authorization`. */
  readonly authorization?: 'none' | (string & {})
  /** The scopes of tokens that it needs beside those of its path. */
  readonly scopes?: readonly string[]
}

/** An answer, with its whole body. */
export interface Reply {
  readonly method: string
  /** From where it came, after redirects. */
  readonly url: URL
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Every value of a header, in order. */
  readonly values: (name: string) => readonly string[]
  readonly body: Buffer
}

/** The one value of a header; nothing where it is absent. */
export function headerOf(reply: Reply, name: string): string | undefined {
  return reply.values(name)[0]
}

/** Characters of paths and of bodies. */
const SHOWN = 160

/** One line about an exchange. */
export function describeExchange(request: RegistryRequest, reply: Reply | Error): string {
  const size = request.body === undefined ? '' : ` (${request.body.byteLength} bytes)`
  const range = request.headers?.['content-range'] ?? request.headers?.['range']
  const { method, path } = request
  const shown = path.length > SHOWN ? `${path.slice(0, SHOWN)}…` : path
  const sent = `${method} ${shown}${range === undefined ? '' : ` [${range}]`}${size}`
  if (reply instanceof Error) return `${sent} -> ${reply.message}`
  const text = reply.body.subarray(0, SHOWN).toString()
  const said = reply.status >= 400 ? ` ${text.replaceAll(/[^\x20-\x7e]+/g, ' ').trim()}` : ''
  return `${sent} -> ${reply.status}${said}`
}
