import type { BucketConfig } from '../config/bucket-config.ts'
import type { CallOptions } from './call-options.ts'
import type { ImageSource } from './image-source.ts'
import type { StorageBackend } from './storage-backend.ts'

/** What a source or target has that is a store: settings, policies and signature records are there. */
export interface StoreFacts {
  readonly name: string
  /** The bucket, in the layout of s3lo. */
  readonly backend: StorageBackend
  /** What `s3lo.yaml` says. Throws `INTEGRITY`. */
  config(options?: CallOptions): Promise<BucketConfig>
  /** See `ImageSource.referrers`: every store lists them. */
  readonly referrers: NonNullable<ImageSource['referrers']>
}

/** A store that is open, to read from. */
export type StoreSource = ImageSource & StoreFacts

/** True for a source or target that is a store. */
export function isStore<T extends object>(place: T): place is T & StoreFacts {
  return 'backend' in place && 'config' in place
}
