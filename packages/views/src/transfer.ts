import type { PlannedPushBlob, PullResult, PushResult } from '@s3lo/core'
import { renderTable } from './table.ts'
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

/** What a push would send: a line, and one for each config and layer. */
export function renderPlannedPush(planned: PushResult): string {
  const { digest, bytes, bytes_uploaded, blobs_uploaded, blobs_skipped, blobs = [] } = planned
  const parts = [
    formatSize(bytes),
    `${blobs_uploaded} blob(s) to send (${formatSize(bytes_uploaded)})`,
    `${blobs_skipped} already there`,
  ]
  const columns = [['BLOB', 71], ['SIZE', 8], ['TO SEND', 8], ['CHUNKS']] as const
  const table = renderTable(columns, 103, blobs.map(plannedCells)).replaceAll(/ +$/gm, '')
  return `${escapeText(digest)}: ${parts.join(', ')}\n\n${table}`
}

function plannedCells(blob: PlannedPushBlob): readonly string[] {
  const { digest, size, bytes_uploaded: sent, chunks, chunks_uploaded: newChunks } = blob
  const cells = [escapeText(digest), formatSize(size), sent > 0 ? formatSize(sent) : 'nothing']
  return chunks === undefined ? [...cells, ''] : [...cells, `${newChunks} of ${chunks} new`]
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
