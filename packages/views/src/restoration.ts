import type { RestorableImage, RestoreResult } from '@s3lo/core'
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

/** What was restored, as one line. */
export function restoredNote({ ref, digest, replaced }: RestoreResult): string {
  const instead = replaced === undefined ? '' : ` in place of ${replaced}, which can be restored`
  return `Restored ${escapeText(ref)}: ${digest}${instead}`
}
