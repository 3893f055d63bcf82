import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import { createRegistry } from '@s3lo/serve'

/** A local store that is served on loopback. */
export interface ServedStore extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string
}

/** Serves the store below a folder by so many servers that share nothing: each takes the next request. */
export async function serveStore(folder: string, replicas = 1): Promise<ServedStore> {
  const host = createHost({ plugins: [local], env: {} })
  const stores = await Promise.all(
    Array.from({ length: replicas }, () => host.openStore(`local://${folder}//`)),
  )
  const registries = stores.map((store) => createRegistry(store))
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
      await Promise.all(stores.map((store) => store.close()))
    },
  }
}
