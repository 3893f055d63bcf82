import { decodeText, type TocEntry } from '@s3lo/core/tar'
import type { LocatedEntry, OpenZtoc, Span } from './read.ts'

/** What must be alike for two descriptions of one entry, where it is and when it was changed aside. */
const FIELDS = ['name', 'type', 'linkname', 'mode', 'uid', 'gid', 'devMajor', 'devMinor'] as const

/** True when both describe one entry: names, owners, attributes, and where its content is. */
export function isSameEntry(a: TocEntry, b: TocEntry): boolean {
  return (
    FIELDS.every((key) => a[key] === b[key]) &&
    a.offset === b.offset &&
    // The original keeps the size that a link's header claims, of content that does not follow.
    (a.size === b.size || a.type !== 'reg') &&
    isSameTime(a.modTime, b.modTime) &&
    a.paxRecords.size === b.paxRecords.size &&
    [...a.paxRecords].every(([key, value]) => b.paxRecords.get(key) === value)
  )
}

/** The original writes local times: the instant counts, with the fraction, which `Date` would cut. */
function isSameTime(a: string, b: string): boolean {
  const fraction = /\.(\d+)/
  return (
    a === b || (Date.parse(a) === Date.parse(b) && fraction.exec(a)?.[1] === fraction.exec(b)?.[1])
  )
}

/** The first thing in which a zTOC is not what the layer is, in words; `undefined` where it is right. */
export function findDifference(found: OpenZtoc, right: OpenZtoc): string | undefined {
  for (const key of ['algorithm', 'compressedSize', 'uncompressedSize'] as const) {
    if (found.ztoc[key] !== right.ztoc[key]) {
      return `${key}: expected ${right.ztoc[key]}, got ${found.ztoc[key]}`
    }
  }
  return compareSpans(found.spans, right.spans) ?? compareEntries(found.entries, right.entries)
}

function compareSpans(found: readonly Span[], right: readonly Span[]): string | undefined {
  if (found.length !== right.length) return `expected ${right.length} spans, got ${found.length}`
  const wrong = found.findIndex((span, i) => !isSameSpan(span, right[i]))
  return wrong < 0 ? undefined : `span ${wrong} is not the layer's`
}

function isSameSpan(a: Span, b: Span | undefined): boolean {
  return (
    b !== undefined &&
    a.compressedStart === b.compressedStart &&
    a.uncompressedStart === b.uncompressedStart &&
    a.digest === b.digest &&
    a.inflate?.bits === b.inflate?.bits &&
    Buffer.compare(a.inflate?.window ?? EMPTY, b.inflate?.window ?? EMPTY) === 0
  )
}

const EMPTY = new Uint8Array()

function compareEntries(
  found: readonly LocatedEntry[],
  right: readonly LocatedEntry[],
): string | undefined {
  if (found.length !== right.length) return `expected ${right.length} files, got ${found.length}`
  for (const [i, { entry }] of found.entries()) {
    const other = right[i]
    if (other && isSameEntry(entry, other.entry)) continue
    return `the entry ${JSON.stringify(decodeText(entry.name).slice(0, 200))} is not the layer's`
  }
  return undefined
}
