import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { BLOCK_SIZE, decodeText, TarToc, type TocEntry } from '@s3lo/core/tar'
import { isSameEntry } from './compare.ts'
import { inflateSpan } from './inflate-span.ts'
import { type LocatedEntry, type OpenZtoc, type Span, spanAt } from './read.ts'

/** Bytes from `start` up to `end`, which is exclusive. */
export interface Extent {
  readonly start: number
  readonly end: number
}

/** Reads a part of the layer blob. */
export type FetchRange = (range: Extent, options: CallOptions) => Promise<Readable>

export interface ExtractOptions extends CallOptions {
  /** How many spans are fetched at once. Default: 4. */
  readonly concurrency?: number | undefined
  /** Compares the headers in the tar with the entry, as the snapshotter does. Default: true. */
  readonly verifyHeaders?: boolean | undefined
}

/** A span larger than this is not read, compressed or not: it would have to be held whole to be verified (bytes). */
const MAX_SPAN_BYTES = 256 * 1024 * 1024

/** What is fetched ahead, beyond one span (bytes). */
const MAX_AHEAD_BYTES = 64 * 1024 * 1024

/** PAX and long-name headers of 1 MiB each, with their own headers, take less (bytes). */
const MAX_HEADER_BYTES = 4 * 1024 * 1024

/**
 * The content of an entry, of which only the spans that hold it are fetched. No byte is given that
 * is not of a span with the right digest. Throws `INTEGRITY`, and `UNSUPPORTED` for spans too large
 * to verify.
 */
export async function* extractEntry(
  ztoc: OpenZtoc,
  located: LocatedEntry,
  fetch: FetchRange,
  options: ExtractOptions = {},
): AsyncGenerator<Uint8Array> {
  const { entry } = located
  if (entry.size === 0 || entry.type !== 'reg') return
  const extent = { start: entry.offset, end: entry.offset + entry.size }
  const content =
    options.verifyHeaders === false
      ? extractRange(ztoc, extent, fetch, options)
      : behindHeader(ztoc, located, fetch, options)
  let left = entry.size
  for await (const chunk of content) {
    left -= chunk.length
    yield chunk
  }
  if (left !== 0) throw mismatch(entry)
}

/** The content of an entry, once the headers before it have turned out to say what the entry says. */
async function* behindHeader(
  ztoc: OpenZtoc,
  { entry, headerOffset }: LocatedEntry,
  fetch: FetchRange,
  options: ExtractOptions,
): AsyncGenerator<Uint8Array> {
  const extent = { start: headerOffset, end: entry.offset + entry.size }
  let headerLeft = entry.offset - headerOffset
  // Without a block there is no header, and nothing that says what the content is.
  if (headerLeft < BLOCK_SIZE || headerLeft > MAX_HEADER_BYTES) throw mismatch(entry)
  const header = new TarToc({ position: headerOffset })
  for await (const chunk of extractRange(ztoc, extent, fetch, options)) {
    const length = Math.min(headerLeft, chunk.length)
    if (headerLeft > 0) {
      header.push(chunk.subarray(0, length))
      headerLeft -= length
      if (headerLeft === 0) compareHeader(header, entry)
    }
    if (length < chunk.length) yield chunk.subarray(length)
  }
}

/** Uncompressed bytes of the layer, with every span verified before any byte of it is given. */
export async function* extractRange(
  { spans }: Pick<OpenZtoc, 'spans'>,
  { start, end }: Extent,
  fetch: FetchRange,
  { signal, concurrency = 4 }: ExtractOptions = {},
): AsyncGenerator<Uint8Array> {
  if (start >= end) return
  const wanted = spans.slice(spanAt(spans, start), spanAt(spans, end - 1) + 1)
  const stop = new AbortController()
  const inner = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const ahead: Pending[] = []
  let next = 0
  try {
    for (const span of wanted) {
      for (; next < wanted.length && hasRoom(ahead, wanted[next], concurrency); next++) {
        const following = wanted[next]
        if (following) ahead.push(startRead(following, end, fetch, inner))
      }
      const pending = ahead[0]
      const chunks = (await pending?.chunks) ?? []
      yield* skip(chunks, Math.max(0, start - span.uncompressedStart))
      ahead.shift()
    }
  } finally {
    stop.abort(new S3loError('ABORTED', 'the read of the layer was ended'))
    await Promise.allSettled(ahead.map(({ chunks }) => chunks))
  }
}

interface Pending {
  readonly bytes: number
  readonly chunks: Promise<readonly Uint8Array[]>
}

function hasRoom(ahead: readonly Pending[], span: Span | undefined, concurrency: number): boolean {
  if (ahead.length === 0) return true
  const bytes = ahead.reduce((sum, pending) => sum + pending.bytes, span ? cost(span) : 0)
  return ahead.length < concurrency && bytes <= MAX_AHEAD_BYTES
}

function cost(span: Span): number {
  return span.compressedEnd - span.compressedStart + (span.uncompressedEnd - span.uncompressedStart)
}

function startRead(span: Span, end: number, fetch: FetchRange, signal: AbortSignal): Pending {
  const chunks = readSpan(span, end, fetch, signal)
  chunks.catch(() => undefined) // It is awaited in its turn, and must not count as unhandled before.
  return { bytes: cost(span), chunks }
}

async function readSpan(
  span: Span,
  end: number,
  fetch: FetchRange,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const length = Math.min(end, span.uncompressedEnd) - span.uncompressedStart
  if (length > MAX_SPAN_BYTES) throw tooLarge(span)
  const compressed = await fetchSpan(span, fetch, signal)
  return inflateSpan(span, compressed, Math.max(0, length))
}

/** The compressed bytes of a span, verified. Throws `INTEGRITY`, `UNSUPPORTED`. */
async function fetchSpan(span: Span, fetch: FetchRange, signal?: AbortSignal): Promise<Uint8Array> {
  const size = span.compressedEnd - span.compressedStart
  if (size > MAX_SPAN_BYTES) throw tooLarge(span)
  const range = { start: span.compressedStart, end: span.compressedEnd }
  const compressed = await readExactly(await fetch(range, { signal }), size, span.id)
  const digest = `sha256:${createHash('sha256').update(compressed).digest('hex')}`
  if (digest !== span.digest) {
    throw new S3loError('INTEGRITY', `span ${span.id}: expected ${span.digest}, got ${digest}`)
  }
  return compressed
}

/** Compares the first span with the layer. Throws `INTEGRITY` where they disagree. */
export async function probeSpan(
  { spans: [first] }: Pick<OpenZtoc, 'spans'>,
  fetch: FetchRange,
  { signal }: CallOptions = {},
): Promise<void> {
  // The last one may hold nothing but the zeros that many tars end with.
  if (first) await fetchSpan(first, fetch, signal)
}

function tooLarge({ id }: Span): S3loError {
  return new S3loError('UNSUPPORTED', `span ${id} is over ${MAX_SPAN_BYTES} bytes`, {
    hint: 'index the image again with a smaller span size',
  })
}

async function readExactly(content: Readable, size: number, id: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let received = 0
  try {
    for await (const chunk of content as AsyncIterable<Uint8Array>) {
      received += chunk.byteLength
      if (received > size) break
      chunks.push(chunk)
    }
  } finally {
    content.destroy()
  }
  if (received === size) return Buffer.concat(chunks, size)
  const sent = received > size ? 'more' : String(received)
  throw new S3loError('INTEGRITY', `span ${id} has ${size} bytes, the store sent ${sent}`)
}

function* skip(chunks: readonly Uint8Array[], count: number): Generator<Uint8Array> {
  let left = count
  for (const chunk of chunks) {
    if (left < chunk.length) yield chunk.subarray(left)
    left = Math.max(0, left - chunk.length)
  }
}

function compareHeader(header: TarToc, entry: TocEntry): void {
  const [found, ...others] = header.entries
  if (!found || others.length > 0 || !isSameEntry(found, entry)) throw mismatch(entry)
}

function mismatch({ name }: TocEntry): S3loError {
  const text = JSON.stringify(decodeText(name).slice(0, 200))
  return new S3loError('INTEGRITY', `the zTOC's entry ${text} is not what the layer holds`)
}
