import { readFileSync } from 'node:fs'
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { S3loError, toS3loError } from '@s3lo/core/plugin'
import { formatAuthority, type ListenAddress } from './listen-address.ts'
import { watchSlowClients } from './slow-clients.ts'
import { watchFiles } from './watch-files.ts'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

export interface ServerOptions {
  readonly address: ListenAddress
  readonly tls?: TlsFiles | undefined
  /** Connections at once: more are closed as they come. */
  readonly maxConnections?: number | undefined
}

export interface RunningServer {
  /** With the port that was chosen, where the address has port 0. */
  readonly url: string
  /** How many are open. */
  readonly connections: () => number
  /** No new connection is taken; requests that run may take `patience` more milliseconds. */
  drain(patience: number): Promise<void>
}

/**
 * A connection without a byte for so long is closed (milliseconds), unless its client waits for the
 * answer; an upload may take hours.
 */
const IDLE_MS = 120_000
/** Longer than balancers keep their connections, which otherwise use one that was just closed. */
const KEEP_ALIVE_MS = 75_000
const HEADERS_MS = 15_000

/** Listens. Throws `USAGE` for an address that cannot be had, `IO` for certificates that cannot be read. */
export async function startServer(
  handle: RequestListener,
  { address, tls, maxConnections }: ServerOptions,
): Promise<RunningServer> {
  let isEnding = false
  const server: Server = tls ? createTlsServer(readTls(tls)) : createPlainServer()
  const slowClients = watchSlowClients()
  server.on('request', (request, response) => {
    slowClients.watch(request, response)
    response.on('timeout', (socket: Socket) => {
      const isWorking = request.complete && !response.headersSent
      if (!isWorking) socket.destroy()
    })
    if (isEnding) response.shouldKeepAlive = false
    response.once('close', () => isEnding && server.closeIdleConnections())
    handle(request, response)
  })
  let connections = 0
  server.on('connection', (socket) => {
    connections++
    socket.once('close', () => connections--)
  })
  if (maxConnections !== undefined) server.maxConnections = maxConnections
  server.requestTimeout = 0
  server.headersTimeout = HEADERS_MS
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.setTimeout(IDLE_MS)
  const unwatch = tls ? reloadWhenChanged(server as unknown as TlsServer, tls) : undefined
  await listen(server, address)
  const { port } = server.address() as AddressInfo
  const scheme = tls ? 'https' : 'http'
  return {
    url: `${scheme}://${formatAuthority({ host: address.host || '0.0.0.0', port })}`,
    connections: () => connections,
    async drain(patience) {
      isEnding = true
      unwatch?.()
      const timer = setTimeout(() => server.closeAllConnections(), patience)
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      clearTimeout(timer)
      slowClients.stop()
    },
  }
}

function listen(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(toS3loError(error, 'USAGE', `cannot listen on ${formatAuthority(address)}`))
    })
    const host = address.host === '' ? {} : { host: address.host }
    server.listen({ port: address.port, ...host }, resolve)
  })
}

function readTls({ cert, key }: TlsFiles): { readonly cert: Buffer; readonly key: Buffer } {
  try {
    return { cert: readFileSync(cert), key: readFileSync(key) }
  } catch (error) {
    throw new S3loError('IO', `cannot read the certificate ${cert} or its key ${key}`, {
      cause: error,
    })
  }
}

/** A renewed certificate is for the connections from then on. A pair that does not fit is not taken. */
function reloadWhenChanged(server: TlsServer, files: TlsFiles): () => void {
  const reload = (): void => {
    try {
      server.setSecureContext(readTls(files))
    } catch {
      // Half of the pair is new: its other half follows, and until then the old pair is right.
    }
  }
  return watchFiles([files.cert, files.key], reload)
}
