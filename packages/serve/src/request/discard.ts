import type { IncomingMessage } from 'node:http'

/** What is read of a body that is not wanted (bytes). */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * Reads and drops what is left of a body, so that its client gets to read the answer and the
 * connection can be used again. A body without end costs the connection instead.
 */
export function discard(request: IncomingMessage): void {
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > MAX_BYTES) request.destroy()
  })
  request.on('error', () => {})
  request.resume()
}
