import type { PullResult, PushResult } from '@s3lo/core'
import { escapeText, formatSeconds, formatSize } from './text.ts'

/** What a transfer moved, and what its target had already. */
interface Moved {
  readonly digest: string
  /** Of the whole image. */
  readonly bytes: number
  readonly copied: number
  readonly bytesCopied: number
  readonly skipped: number
}

/** A digest as the whole of standard output, for `D=$(s3lo push …)`. */
export function renderDigest({ digest }: { readonly digest: string }): string {
  return `${escapeText(digest)}\n`
}

/** `Done. sha256:…: 58.7 MB in 3s, 2 blob(s) sent (1.2 MB), 5 already there (57.5 MB).` */
function summarise(moved: Moved, milliseconds: number): string {
  const { digest, bytes, copied, bytesCopied, skipped } = moved
  const shared = Math.max(0, bytes - bytesCopied)
  const parts = [
    `${formatSize(bytes)} in ${formatElapsed(milliseconds)}`,
    `${copied} blob(s) sent (${formatSize(bytesCopied)})`,
    `${skipped} already there${skipped > 0 ? ` (${formatSize(shared)})` : ''}`,
  ]
  return `Done. ${digest}: ${parts.join(', ')}.`
}

export function summarisePush(result: PushResult, milliseconds: number): string {
  const { blobs_uploaded: copied, bytes_uploaded: bytesCopied, blobs_skipped: skipped } = result
  return summarise({ ...result, copied, bytesCopied, skipped }, milliseconds)
}

export function summarisePull(result: PullResult, milliseconds: number): string {
  const { blobs_copied: copied, bytes_copied: bytesCopied, blobs_skipped: skipped } = result
  return summarise({ ...result, copied, bytesCopied, skipped }, milliseconds)
}

/** `0.3s` below ten seconds, else as {@link formatSeconds}. */
export function formatElapsed(milliseconds: number): string {
  const seconds = milliseconds / 1000
  return seconds < 9.95 ? `${seconds.toFixed(1)}s` : formatSeconds(seconds)
}
