import type { IncomingMessage } from 'node:http'

/** Reports the bytes of a request's body as they arrive, and leaves them to their reader. */
export function countBody(request: IncomingMessage, passed: (bytes: number) => void): void {
  const push = request.push.bind(request)
  request.push = (chunk: Buffer | null, encoding) => {
    if (chunk) passed(chunk.byteLength)
    return push(chunk, encoding)
  }
}
