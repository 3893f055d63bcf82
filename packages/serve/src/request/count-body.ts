import type { IncomingMessage } from 'node:http'

/** Reports the bytes of a request's body as they arrive, whatever reads them, and does not read them itself. */
export function countBody(request: IncomingMessage, passed: (bytes: number) => void): void {
  const push = request.push.bind(request)
  request.push = (chunk: Buffer | null, encoding) => {
    if (chunk) passed(chunk.byteLength)
    return push(chunk, encoding)
  }
}
