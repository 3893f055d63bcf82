import type { IncomingMessage, ServerResponse } from 'node:http'

/** How often requests are looked at (milliseconds). */
const INTERVAL = 15_000

/** What a client moves in that time, at least (bytes). */
const MIN_BYTES = 16 * 1024

/** Looks in a row at which a client was too slow, until its connection is closed. */
const PATIENCE = 4

/** One look at a request that runs. */
export interface Progress {
  /** Bytes that its connection has moved: received, and taken by the network. */
  readonly moved: number
  /** True where the server has nothing to do but wait for the client. */
  readonly isWaiting: boolean
}

/** How many looks in a row a client has been too slow. A server that is busy blames no client. */
export function slowLooks(before: Progress, now: Progress, looks: number): number {
  const isSlow = before.isWaiting && now.isWaiting && now.moved - before.moved < MIN_BYTES
  return isSlow ? looks + 1 : 0
}

/** Watches requests for clients that keep a connection busy by hardly moving anything. */
export interface SlowClients {
  watch(request: IncomingMessage, response: ServerResponse): void
  /** Looks at all that run. */
  look(): void
  stop(): void
}

/** Closes the connections of clients that stay below about a kilobyte a second for a minute. */
export function watchSlowClients(): SlowClients {
  const running = new Map<
    ServerResponse,
    { request: IncomingMessage; last: Progress; looks: number }
  >()
  const look = (): void => {
    for (const [response, entry] of running) {
      const now = progressOf(entry.request, response)
      entry.looks = slowLooks(entry.last, now, entry.looks)
      entry.last = now
      if (entry.looks >= PATIENCE) response.destroy()
    }
  }
  const timer = setInterval(look, INTERVAL).unref()
  return {
    watch(request, response) {
      running.set(response, { request, last: progressOf(request, response), looks: 0 })
      response.once('close', () => running.delete(response))
    },
    look,
    stop: () => clearInterval(timer),
  }
}

/**
 * The server waits for the client where nothing of a body is there that it could read, or where it
 * has more to send than the client has taken.
 */
function progressOf(request: IncomingMessage, response: ServerResponse): Progress {
  const { socket } = request
  const unsent = response.writableLength + (response.socket?.writableLength ?? 0)
  const isReading = !request.complete && request.readableLength === 0
  return {
    moved: socket.bytesRead + socket.bytesWritten - unsent,
    isWaiting: isReading || response.writableNeedDrain,
  }
}
