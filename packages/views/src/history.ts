import type { ImageHistory, TagHistory } from '@s3lo/core'
import { renderTable } from './table.ts'
import { escapeText, formatSize, formatTime } from './text.ts'

/** The images of a store as a table, in the order given. */
export function renderStoreHistory(rows: readonly ImageHistory[]): string {
  return renderTable(
    [['REPOSITORY', 20], ['TAGS', 5], ['LAST PUSHED', 20], ['TOTAL SIZE']],
    66,
    rows.map(({ name, tags, last_pushed_at, total_size_bytes }) => [
      escapeText(name),
      String(tags),
      formatTime(last_pushed_at),
      formatSize(total_size_bytes),
    ]),
  )
}

function fateOf({ superseded, ended }: Pick<TagHistory, 'superseded' | 'ended'>): string {
  if (ended === 'deleted' || ended === 'expired') return ' (deleted)'
  return superseded ? ' (overridden)' : ''
}

/** The writes of an image's tags as a table, in the order given. */
export function renderImageHistory(rows: readonly TagHistory[]): string {
  return renderTable(
    [['TAG', 20], ['PUSHED', 20], ['SIZE', 10], ['DIGEST']],
    80,
    rows.map(({ tag, pushed_at, size_bytes, digest, forced, ...row }) => [
      `${escapeText(tag)}${fateOf(row)}`,
      formatTime(pushed_at),
      formatSize(size_bytes),
      `${escapeText(digest)}${forced ? ' (forced)' : ''}`,
    ]),
  )
}
