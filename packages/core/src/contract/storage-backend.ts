import type { Readable } from 'node:stream'
import type { S3loError } from '../errors.ts'
import type { ByteRange, CallOptions } from './call-options.ts'
import type { ProgressOptions } from './progress.ts'

/** One object of a bucket. */
export interface ObjectInfo {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** Opaque: equal etags of one key mean equal content; nothing else may be read from it. */
  readonly etag: string
  /** By the store's clock. */
  readonly lastModified: Date
  /** `tiered`: a class whose objects the store moves by their use, where it has one. */
  readonly storageClass?: string
}

/** An object's content on its way: consume the body or destroy it. */
export interface ObjectBody {
  readonly info: ObjectInfo
  readonly body: Readable
}

/** What must hold for a write to take effect. */
export type WriteCondition =
  | { readonly kind: 'absent' }
  | { readonly kind: 'unchanged'; readonly etag: string }

export interface GetOptions extends CallOptions {
  readonly range?: ByteRange | undefined
}

/** A deadline that the store itself enforces, by its own clock. */
export interface DeadlineOptions extends CallOptions {
  /** The store refuses the request after this moment: `FORBIDDEN`, and nothing changes. */
  readonly notAfter?: Date | undefined
  /**
   * Told when the request is sent again because an attempt got no certain answer: that one may still
   * take effect at any moment before the deadline, even after the call has failed.
   */
  readonly onUnanswered?: (() => void) | undefined
}

export interface PutOptions extends DeadlineOptions {
  /** Bytes, when known. A body of another length is an `INTEGRITY` error and leaves no object. */
  readonly size?: number | undefined
  /**
   * Of the whole body, as `sha256:HEX`, when known: a backend that needs it does not hash the body
   * again. A body of another digest may be refused as `INTEGRITY`; no backend has to look.
   */
  readonly digest?: string | undefined
  readonly mediaType?: string | undefined
  /** `tiered`: a class whose objects the store moves by their use, where it has one. */
  readonly storageClass?: 'standard' | 'tiered' | undefined
  readonly condition?: WriteCondition | undefined
}

export interface CopyOptions extends CallOptions {
  /** The etag that the source has to have; with another one nothing is written: `CONFLICT`. */
  readonly sourceEtag?: string | undefined
}

export interface MoveOptions extends CopyOptions {
  /** Of the goal. */
  readonly condition?: WriteCondition | undefined
}

export interface ListOptions extends CallOptions {
  /** Only keys after this one. */
  readonly startAfter?: string | undefined
}

export interface PresignOptions extends CallOptions {
  readonly expiresInSeconds: number
}

/** A key that a delete could not remove, and why. */
export interface DeleteFailure {
  readonly key: string
  readonly error: S3loError
}

/** An interrupted multipart upload, which costs money until it is aborted. */
export interface AbandonedUpload {
  readonly key: string
  readonly id: string
  readonly startedAt: Date
}

/** A remark of a health check. */
export interface Finding {
  readonly severity: 'ok' | 'notice' | 'problem'
  readonly message: string
  readonly hint?: string
  /** Whether the store moves objects between classes by itself, where the finding is about that. */
  readonly tiering?: 'enabled' | 'not configured'
}

/**
 * What the store does about conditions and deadlines; proven per endpoint, so facts, not methods.
 * What is not proven yet is `false`.
 */
export interface BackendGuarantees {
  readonly createOnly: boolean
  readonly compareAndSwap: boolean
  readonly deadlines: boolean
  /** No request takes effect after the process that made it has ended: nothing is between the two. */
  readonly endsWithProcess?: boolean | undefined
}

/**
 * Object storage, bound to one bucket when it is opened. Keys are relative to the bucket.
 *
 * The contract, each line of which `@s3lo/backend-conformance` tests:
 * a failed or aborted `put` leaves no object; of N racing puts with `{ kind: 'absent' }` exactly
 * one wins and the rest throw `CONFLICT`; a condition or deadline that `guarantees` does not
 * promise throws `UNSUPPORTED` before anything is written; a failure to look is thrown and never
 * means "missing"; an aborted call rejects with the signal's reason and frees its socket or file.
 */
export interface StorageBackend {
  /** The URL scheme, without `://`. */
  readonly scheme: string
  readonly bucket: string
  readonly guarantees: BackendGuarantees
  /** True where a listing reads the keys up to `startAfter` all the same, so that starting late saves nothing. */
  readonly skipsByReading?: boolean | undefined

  /** The object's facts, or `undefined` when there is none. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  /** The object's bytes. Throws `NOT_FOUND`. */
  get(key: string, options?: GetOptions): Promise<ObjectBody>
  /**
   * Writes the whole object or nothing, and destroys the body in any case. Throws `CONFLICT` when the
   * condition does not hold, and what the body fails with, at any moment.
   */
  put(key: string, body: Uint8Array | Readable, options?: PutOptions): Promise<ObjectInfo>
  /** Deletes; a key that is not there is no failure. Returns the keys that stayed, each with its error. */
  delete(keys: readonly string[], options?: DeadlineOptions): Promise<readonly DeleteFailure[]>
  /** Every object whose key starts with `prefix`, in key order (by UTF-8 bytes). */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>
  /** The keys of `list`, where they cost less than the facts do. */
  listKeys?(prefix: string, options?: ListOptions): AsyncIterable<string>
  /** The immediate "folders" below `prefix` (which is empty or ends in `/`), each as `a/b/`, in order. */
  listPrefixes(prefix: string, options?: CallOptions): AsyncIterable<string>

  /** Copies inside the store without moving bytes through this process; `undefined` when `source` is foreign. */
  copyFrom?(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    options?: CopyOptions,
  ): Promise<ObjectInfo | undefined>
  /**
   * Gives an object another key without writing its bytes: `key` is the whole object, dated now, before
   * `sourceKey` is gone, so a move that is interrupted leaves one of them or both. `undefined`, and
   * nothing changes, where this object has to be copied. Throws `NOT_FOUND` without a source, and
   * `CONFLICT` where `sourceEtag` or `condition` does not hold.
   */
  move?(sourceKey: string, key: string, options?: MoveOptions): Promise<ObjectInfo | undefined>
  /**
   * The store's present time, found without writing an object; `undefined` where that cannot be
   * done now. Without this method the time is that of an object which is written for it.
   */
  now?(options?: CallOptions): Promise<Date | undefined>
  /** Makes `lastModified` now and leaves the bytes. Throws `NOT_FOUND`. */
  touch?(key: string, options?: CallOptions): Promise<ObjectInfo>
  /**
   * Finds out what the store guarantees, by writing to it when that was not done in the last days,
   * and updates `guarantees`. To be called before the first conditional write, and never by what
   * only reads. A backend without this method knows its guarantees when it is opened.
   */
  proveGuarantees?(options?: CallOptions): Promise<BackendGuarantees>
  /**
   * Lends an object as a read-only file of this machine, without copying it; `undefined` when there is
   * no such object or it cannot be lent there. The content is not verified.
   */
  linkTo?(key: string, file: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  presignGet?(key: string, options: PresignOptions): Promise<URL>
  abandonedUploads?(options?: CallOptions): AsyncIterable<AbandonedUpload>
  abortUpload?(upload: AbandonedUpload, options?: CallOptions): Promise<void>
  diagnose?(options?: CallOptions): AsyncIterable<Finding>
  close?(): Promise<void>
}

type OptionalMethods = {
  [K in keyof StorageBackend]-?: undefined extends StorageBackend[K]
    ? Required<StorageBackend>[K] extends (...args: never) => unknown
      ? K
      : never
    : never
}[keyof StorageBackend]

/** The name of an optional method of {@link StorageBackend}: having the method is having the capability. */
export type BackendCapability = OptionalMethods

/** True when `backend` has the optional method, and narrows its type to say so. */
export function supports<C extends BackendCapability>(
  backend: StorageBackend,
  capability: C,
): backend is StorageBackend & Required<Pick<StorageBackend, C>> {
  return typeof backend[capability] === 'function'
}

/** Where a store is: what stands before the image in a reference. Not a URL: `./x` and spaces are legal. */
export interface StoreLocation {
  readonly scheme: string
  readonly bucket: string
}

/** What a backend is opened with. Two hosts in one process may differ in every field. */
export interface BackendOptions extends CallOptions, ProgressOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly endpoint?: string | undefined
  /** The caller vouches that the service at `endpoint` keeps every guarantee: nothing is tried out. */
  readonly trustEndpoint?: boolean | undefined
  readonly region?: string | undefined
  readonly credentials?: unknown
}

/** What a backend plugin's `load()` gives. */
export interface BackendModule {
  /** Opens the bucket. Throws `NOT_FOUND` only where the store must exist to be read. */
  openBackend(location: StoreLocation, options: BackendOptions): Promise<StorageBackend>
  /** Of a scheme whose buckets are paths: true where one is laid out as a store already. */
  isStore?(location: StoreLocation, options?: CallOptions): Promise<boolean>
}
