import { createServer, request, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ImageStore, type StorageBackend } from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { createRegistry, type RegistryOptions } from '../../src/index.ts'

/** An answer, whole. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Ask extends Pick<RequestOptions, 'method' | 'headers'> {
  readonly body?: Uint8Array | string
}

export interface ServedStore<B extends StorageBackend = StorageBackend> extends AsyncDisposable {
  readonly url: string
  readonly backend: B
  readonly store: ImageStore
  ask(path: string, options?: Ask): Promise<Reply>
}

/** Serves a store in memory on loopback. */
export function serveMemory(options: RegistryOptions = {}): Promise<ServedStore<MemoryBackend>> {
  return serveBackend(new MemoryBackend(), options)
}

/** Serves a store on loopback. */
export async function serveBackend<B extends StorageBackend>(
  backend: B,
  options: RegistryOptions = {},
): Promise<ServedStore<B>> {
  const store = new ImageStore(backend)
  const { handle } = createRegistry(store, options)
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    backend,
    store,
    ask: (path, given) => ask(port, path, given),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function ask(port: number, path: string, { body, ...options }: Ask = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false, ...options }, (reply) => {
      const chunks: Buffer[] = []
      reply.on('data', (chunk: Buffer) => chunks.push(chunk))
      reply.once('error', reject)
      reply.once('end', () => {
        const { statusCode = 0, headers } = reply
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks) })
      })
    })
    sent.once('error', reject)
    sent.end(body)
  })
}
