import { S3loError } from '@s3lo/core/plugin'
import { BLOCK_SIZE, type ByteText, decodeText, encodeText, type TocEntry } from '@s3lo/core/tar'
import type { Ztoc } from './flatbuffer.ts'
import { parseGzipZinfo, parseTarZinfo } from './zinfo.ts'

/** A part of a layer that can be read without what comes before it. Ends are exclusive. */
export interface Span {
  readonly id: number
  readonly compressedStart: number
  readonly compressedEnd: number
  readonly uncompressedStart: number
  readonly uncompressedEnd: number
  /** Of the compressed bytes. */
  readonly digest: string
  /** What inflating starts with; none for a plain tar. */
  readonly inflate?: { readonly bits: number; readonly window: Uint8Array }
}

/** An entry with where its headers start in the tar: what lies from there to its content must say the same. */
export interface LocatedEntry {
  readonly entry: TocEntry
  readonly headerOffset: number
}

/** A zTOC whose numbers were checked. */
export interface OpenZtoc {
  readonly ztoc: Ztoc
  readonly spans: readonly Span[]
  /** In the order of their offsets. */
  readonly entries: readonly LocatedEntry[]
}

/**
 * Checks a zTOC as a consumer does before it trusts it: as many digests as checkpoints, spans that
 * follow each other inside the layer, entries that do not overlap. Throws `INTEGRITY`.
 */
export function openZtoc(ztoc: Ztoc): OpenZtoc {
  const { compressedSize, uncompressedSize } = ztoc
  if (compressedSize < 0 || uncompressedSize < 0) throw invalid('a size is negative')
  const spans = ztoc.algorithm === 'gzip' ? gzipSpans(ztoc) : plainSpans(ztoc)
  for (const span of spans) checkSpan(span, spans.length - 1, compressedSize)
  return { ztoc, spans, entries: locate(ztoc) }
}

function gzipSpans(ztoc: Ztoc): readonly Span[] {
  const { checkpoints } = parseGzipZinfo(ztoc.checkpoints)
  checkCount(ztoc, checkpoints.length)
  return checkpoints.map(({ compressedOffset, uncompressedOffset, bits, window }, id) => {
    const next = checkpoints[id + 1]
    return {
      id,
      compressedStart: compressedOffset - (bits > 0 ? 1 : 0),
      compressedEnd: next?.compressedOffset ?? ztoc.compressedSize,
      uncompressedStart: uncompressedOffset,
      uncompressedEnd: next?.uncompressedOffset ?? ztoc.uncompressedSize,
      digest: ztoc.spanDigests[id] ?? '',
      inflate: { bits, window },
    }
  })
}

function plainSpans(ztoc: Ztoc): readonly Span[] {
  const { spanSize, size } = parseTarZinfo(ztoc.checkpoints)
  if (size !== ztoc.compressedSize) throw invalid('the layer has two sizes')
  if (ztoc.uncompressedSize > size) throw invalid('there is content past the end')
  const count = Math.ceil(size / spanSize)
  checkCount(ztoc, count) // Before anything is made of the count: digests take room, a count does not.
  return Array.from({ length: count }, (_, id) => {
    const start = id * spanSize
    const end = Math.min(start + spanSize, size)
    return {
      id,
      compressedStart: start,
      compressedEnd: end,
      uncompressedStart: start,
      uncompressedEnd: end,
      digest: ztoc.spanDigests[id] ?? '',
    }
  })
}

function checkCount({ maxSpanId, spanDigests }: Ztoc, count: number): void {
  if (maxSpanId === count - 1 && spanDigests.length === count) return
  throw invalid(
    `${count} spans do not go with ${spanDigests.length} digests and a last span ${maxSpanId}`,
  )
}

function checkSpan(span: Span, last: number, layerSize: number): void {
  const { id, compressedStart, compressedEnd, uncompressedStart, uncompressedEnd } = span
  const inside = compressedStart >= 0 && compressedEnd <= layerSize
  // The last span may hold nothing but what follows the tar's end marker.
  const grows = id === last || uncompressedStart < uncompressedEnd
  if (!inside || compressedStart >= compressedEnd || !grows) {
    throw invalid(`span ${id} is not between its neighbours`)
  }
  if (id === 0 && uncompressedStart !== 0) throw invalid('the first span does not start at 0')
  if (!/^sha256:[0-9a-f]{64}$/.test(span.digest)) throw invalid(`span ${id} has no digest`)
}

function locate({ entries, uncompressedSize }: Ztoc): readonly LocatedEntry[] {
  let headerOffset = 0
  return entries.map((entry) => {
    const { offset, size, name } = entry
    const end = offset + size
    const overlaps = headerOffset > offset
    const outside = size < 0 || offset < 0 || (entry.type === 'reg' && end > uncompressedSize)
    if (overlaps || outside || !Number.isSafeInteger(end + BLOCK_SIZE)) {
      throw invalid(`the entry ${JSON.stringify(decodeText(name).slice(0, 200))} is out of place`)
    }
    const located = { entry, headerOffset }
    headerOffset = Math.ceil(end / BLOCK_SIZE) * BLOCK_SIZE
    return located
  })
}

/**
 * The entry of a name, spelled as in the tar; links are followed by their literal targets, as the
 * original does. `undefined` when there is none; throws `INTEGRITY` for links in a circle.
 */
export function findEntry(
  { entries }: Pick<OpenZtoc, 'entries'>,
  name: string,
): LocatedEntry | undefined {
  const seen = new Set<ByteText>()
  let wanted = encodeText(name)
  for (;;) {
    const found = entries.find(({ entry }) => entry.name === wanted)
    if (!found || found.entry.linkname === '') return found
    seen.add(wanted)
    wanted = found.entry.linkname
    if (seen.has(wanted)) throw new S3loError('INTEGRITY', `${name} is a link in a circle`)
  }
}

/** The span that holds an uncompressed offset, or the last one. */
export function spanAt(spans: readonly Span[], offset: number): number {
  let low = 0
  let high = spans.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((spans[middle]?.uncompressedStart ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

function invalid(what: string): S3loError {
  return new S3loError('INTEGRITY', `the zTOC does not describe a layer: ${what}`)
}
