import type { Readable } from 'node:stream'
import { type ByteRange, type CallOptions, parseDigest } from '@s3lo/core'

/** The files of an OCI image layout, wherever they stand: a directory or a tar archive. */
export interface LayoutFiles {
  /** For messages: `oci layout ./dir`. */
  readonly name: string
  /** Bytes; `undefined` when there is no such file. */
  size(path: string, options?: CallOptions): Promise<number | undefined>
  /** A stretch of a file. Throws `NOT_FOUND`. */
  content(path: string, range?: ByteRange, options?: CallOptions): Promise<Readable>
  /** A small file, whole. Throws `NOT_FOUND`, and `INTEGRITY` past `limit` bytes. */
  read(path: string, limit: number, options?: CallOptions): Promise<Uint8Array>
  close(): Promise<void>
}

/** The largest `index.json` that is read (bytes). */
export const MAX_INDEX_BYTES = 16 * 1024 * 1024

/** The files of a layout beside its blobs (OCI image spec v1.1.1, "image layout"). */
export const LAYOUT_INDEX = 'index.json'
export const LAYOUT_MARKER = 'oci-layout'
export const LAYOUT_MARKER_CONTENT = '{"imageLayoutVersion":"1.0.0"}'

/** Where a layout keeps a blob. Throws `INTEGRITY` for what is no digest: no other text becomes a path. */
export function blobPath(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `blobs/${algorithm}/${hex}`
}
