import {
  type ImageStore,
  type Membership,
  openMembership,
  openUploads,
  type Uploads,
} from '@s3lo/core'
import { ManifestReader } from './manifest-reader.ts'
import type { RegistryOptions } from './options.ts'

/** What endpoints work with. */
export interface Parts {
  readonly store: ImageStore
  readonly manifests: ManifestReader
  readonly uploads: Uploads
  readonly membership: Membership
  readonly options: RegistryOptions
}

/** A request waits so long for a collector that may delete what it names (milliseconds). */
export const MAX_WAIT_MS = 20_000

export function openParts(store: ImageStore, options: RegistryOptions): Parts {
  const waiting = { who: 'serve', maxWaitMs: MAX_WAIT_MS }
  const membership = openMembership(store.backend, waiting)
  return {
    store,
    manifests: new ManifestReader(store, membership),
    uploads: openUploads(store.backend, { ...waiting, maxBytes: options.maxBlobBytes }),
    membership,
    options,
  }
}
