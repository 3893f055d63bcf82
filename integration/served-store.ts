import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ImageStore, type StorageBackend } from '@s3lo/core'
import { createRegistry, type RegistryOptions } from '@s3lo/serve'

/** A store that is served on loopback. */
export interface ServedStore extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string
}

/** Serves a store by so many servers that share nothing: each takes the next request. */
export async function serveStore(
  open: () => Promise<StorageBackend>,
  { replicas = 1, ...options }: RegistryOptions & { readonly replicas?: number } = {},
): Promise<ServedStore> {
  const backends = await Promise.all(Array.from({ length: replicas }, open))
  const registries = backends.map((backend) => createRegistry(new ImageStore(backend), options))
  let requests = 0
  const server = createServer((request, response) => {
    registries[requests++ % replicas]?.handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await Promise.all(backends.map(async (backend) => backend.close?.()))
    },
  }
}
