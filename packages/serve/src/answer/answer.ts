import type { Readable } from 'node:stream'

export type AnswerHeaders = Readonly<Record<string, string | number | readonly string[]>>

/** What a request is answered with: data, which `sendAnswer` writes. */
export interface Answer {
  readonly status: number
  /** Names in lower case. `content-length` is added for a body that is at hand. */
  readonly headers?: AnswerHeaders | undefined
  /** Of a stream, `headers` say the exact `content-length`. */
  readonly body?: string | Uint8Array | Readable | undefined
}

/** A document as JSON. */
export function jsonAnswer(document: unknown, headers: AnswerHeaders = {}): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(document),
  }
}
