import type { TagEvent } from '../store/tag-events.ts'

/** One write of a tag; field names are those of `--output json`. */
export interface TagHistory {
  readonly tag: string
  readonly pushed_at: string
  readonly digest: string
  readonly size_bytes: number
  readonly superseded?: true
  readonly forced?: true
  /** When the tag was moved or deleted, as far as its store remembers: RFC 3339. */
  readonly ended_at?: string
  readonly ended?: TagEvent['reason']
  /** The machine that did it. */
  readonly ended_by?: string
}

/**
 * The writes of tags, with what their repository remembers of each: when it was moved or deleted, and
 * what no file tells any more. Of a tag that is gone, nothing has overwritten the last image.
 */
export function withEvents(
  rows: readonly TagHistory[],
  events: readonly TagEvent[],
): readonly TagHistory[] {
  const merged = new Map(Map.groupBy(rows, ({ tag }) => tag))
  for (const [tag, ofTag] of Map.groupBy(events, (event) => event.tag)) {
    const written = merged.get(tag) ?? []
    const ended = ofTag.flatMap((event) => endedRow(event, written))
    const isEnded = (row: TagHistory): boolean =>
      ended.some((other) => other.digest === row.digest && other.pushed_at === row.pushed_at)
    const all = [...written.filter((row) => !isEnded(row)), ...ended].toSorted(
      (a, b) => Date.parse(b.pushed_at) - Date.parse(a.pushed_at),
    )
    merged.set(tag, written.length > 0 ? all : all.map(lastCounts))
  }
  return [...merged.values()].flat()
}

function lastCounts({ superseded, ...row }: TagHistory, i: number): TagHistory {
  return superseded && i > 0 ? { ...row, superseded } : row
}

/** What a tag named until an event; none where it named nothing. */
function endedRow(
  { tag, was, since, at, reason, by, size_bytes = 0 }: TagEvent,
  written: readonly TagHistory[],
): readonly TagHistory[] {
  if (was === undefined) return []
  const known = written.find(
    ({ digest, pushed_at, superseded }) =>
      superseded && digest === was && Date.parse(pushed_at) <= Date.parse(at),
  )
  const row = known ?? { tag, pushed_at: secondsOf(since ?? at), digest: was, size_bytes }
  return [
    {
      ...row,
      superseded: true,
      ended_at: secondsOf(at),
      ended: reason,
      ...(by === undefined ? {} : { ended_by: by }),
    },
  ]
}

function secondsOf(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}
