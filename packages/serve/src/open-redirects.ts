import type { CallOptions, Host, ImageStore } from '@s3lo/core'
import { assertRedirects, assertSigns, type RedirectOptions } from './answer/redirect.ts'
import type { ServePlan } from './serve-plan.ts'

/** Redirects as they are made, and what to close with them. */
export interface OpenRedirects {
  readonly options: RedirectOptions
  readonly close: () => Promise<void>
}

/**
 * Opens the store a second time where clients reach it at an endpoint of their own: many signatures are
 * good for one host only. Throws `USAGE` where clients cannot be sent there.
 */
export async function openRedirects(
  host: Pick<Host, 'openStore'>,
  reference: string,
  { backend }: ImageStore,
  { redirect: { endpoint, ...options } }: ServePlan,
  { signal }: CallOptions,
): Promise<OpenRedirects> {
  if (endpoint === undefined) {
    assertRedirects(backend, options)
    return { options, close: () => Promise.resolve() }
  }
  const store = await host.openStore(reference, { endpoint, signal })
  const signer = store.backend
  try {
    assertRedirects(backend, { ...options, signer })
    await assertSigns(signer, endpoint, options)
    return { options: { ...options, signer }, close: () => store.close() }
  } catch (error) {
    await store.close()
    throw error
  }
}
