import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CallOptions, type Host, S3loError } from '@s3lo/core'
import { createRegistry } from './registry.ts'

export interface ServeOptions extends CallOptions {
  /** `ADDRESS:PORT`; default 127.0.0.1:5732. */
  readonly listen?: string | undefined
  readonly readOnly?: boolean | undefined
  readonly status: (line: string) => void
}

export interface ServeResult {
  readonly url: string
}

/** Serves a store until the signal says stop. */
export async function serve(
  host: Host,
  reference: string,
  { listen = '127.0.0.1:5732', readOnly, status, signal }: ServeOptions,
): Promise<ServeResult> {
  const [, address = '', port = ''] = /^(.*):(\d+)$/.exec(listen) ?? []
  if (port === '') throw new S3loError('USAGE', `${listen} is no ADDRESS:PORT`)
  const store = await host.openStore(reference, { signal })
  try {
    const server = createServer(createRegistry(store, { readOnly }).handle)
    await new Promise<void>((resolve) => server.listen(Number(port), address, resolve))
    const url = `http://${address}:${(server.address() as AddressInfo).port}`
    status(`Serving ${store.name}/ at ${url}`)
    await new Promise<void>((resolve) => {
      signal?.addEventListener('abort', () => server.close(() => resolve()), { once: true })
    })
    return { url }
  } finally {
    await store.close()
  }
}
