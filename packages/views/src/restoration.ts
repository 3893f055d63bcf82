import type { RestorableImage, RestoreResult, UntaggedListing } from '@s3lo/core'
import { renderTable } from './table.ts'
import { escapeText, formatTime } from './text.ts'

/** What can be restored, as a table in the order given. */
export function renderRestorable(rows: readonly RestorableImage[]): string {
  return renderTable(
    [['TAG', 30], ['UNTIL', 20], ['BECAUSE', 9], ['KEPT UNTIL', 20], ['DIGEST']],
    120,
    rows.map(({ image, tag, at, reason, kept_until: until, digest }) => [
      escapeText(`${image}:${tag}`),
      formatTime(at),
      reason,
      until === 'forever' ? until : formatTime(until),
      digest,
    ]),
  )
}

/** Images that no tag names, as a table in the order given. */
export function renderUntagged(rows: readonly UntaggedListing[]): string {
  if (rows.length === 0) return 'No untagged images.\n'
  return renderTable(
    [['IMAGE', 30], ['UNTAGGED SINCE', 20], ['KEPT UNTIL', 20], ['DIGEST']],
    110,
    rows.map(({ name, untagged_since: since, kept_until: until, digest }) => [
      escapeText(name),
      formatTime(since),
      until === 'forever' ? until : formatTime(until),
      digest,
    ]),
  )
}

/** What was restored, as one line. */
export function restoredNote({ ref, digest, replaced }: RestoreResult): string {
  const instead = replaced === undefined ? '' : ` in place of ${replaced}, which can be restored`
  return `Restored ${escapeText(ref)}: ${digest}${instead}`
}
