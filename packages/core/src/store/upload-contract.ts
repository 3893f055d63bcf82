import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import type { DigestAlgorithm } from '../oci/digest.ts'
import type { RepositoryOptions } from './links.ts'

/** What uploads can be told. */
export interface UploadsOptions extends RepositoryOptions {
  /** Bytes of a blob; more are `UNSUPPORTED`, with `details.limit`, and change nothing. Default: 10^15 - 1. */
  readonly maxBytes?: number | undefined
}

/** The error for a blob of more than `limit` bytes. */
export function tooLarge(limit: number): S3loError {
  return new S3loError('UNSUPPORTED', `a blob has at most ${limit} bytes here`, {
    details: { limit },
  })
}

/** An upload as its client names it. Both parts are foreign: the two have to fit together. */
export interface UploadName {
  readonly repository: string
  readonly id: string
}

/** An upload in progress. */
export interface UploadStatus extends UploadName {
  /** Where the next piece begins: the bytes that are stored. */
  readonly offset: number
}

export interface BeginUploadOptions extends CallOptions {
  /** What the digest will be of, where the client says so: its pieces are hashed with it as they pass. */
  readonly algorithm?: DigestAlgorithm | undefined
}

export interface UploadBodyOptions extends CallOptions {
  /** Bytes of the body, when known. Another length is an `INTEGRITY` error. */
  readonly size?: number | undefined
}

export interface FinishUploadOptions extends UploadBodyOptions {
  /** The last bytes, if any. */
  readonly body?: Readable | undefined
  /** Where they begin, as the client says; default: at the end. */
  readonly offset?: number | undefined
}

/** `offset`: the end of the upload now. Nothing was written where it is out of order. */
export interface AppendResult {
  readonly kind: 'appended' | 'out-of-order'
  readonly offset: number
}

/** `offset`: the end of the upload now. */
export type FinishResult =
  | { readonly kind: 'stored' }
  | { readonly kind: 'out-of-order'; readonly offset: number }

/**
 * Uploads whose digest is announced at their end. Everything about them is in the store, so that
 * any process takes the next piece. A session that is not there, or another repository's, is
 * `NOT_FOUND`. A body is left as it is where the answer is known without it (out of order, not there,
 * a collector that takes too long); else it is read to its end or destroyed.
 */
export interface Uploads {
  begin(repository: string, options?: BeginUploadOptions): Promise<UploadStatus>
  /**
   * Adds bytes at an offset (`undefined`: at the end). Of two at one offset exactly one is added. A
   * body that breaks off adds nothing, and the upload continues where it was.
   */
  append(
    upload: UploadName,
    offset: number | undefined,
    body: Readable,
    options?: UploadBodyOptions,
  ): Promise<AppendResult>
  /** `undefined` for a session that is not there. */
  status(upload: UploadName, options?: CallOptions): Promise<UploadStatus | undefined>
  /**
   * Makes the bytes a blob of the repository, and ends the session. Done again, it gives the same: a body
   * without an offset that was taken already, by a call that failed later, is not taken again. Throws
   * `INTEGRITY` for bytes of another digest: the session is over, and no blob was touched.
   */
  finish(upload: UploadName, digest: string, options?: FinishUploadOptions): Promise<FinishResult>
  /** Ends a session without a blob; false when it is not there. */
  cancel(upload: UploadName, options?: CallOptions): Promise<boolean>
  /** Makes a body a blob of the repository, without a session. Throws `INTEGRITY` as {@link finish} does. */
  putBlob(
    repository: string,
    digest: string,
    body: Readable,
    options?: UploadBodyOptions,
  ): Promise<void>
}
