import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, PlainLayer } from '../contract/image-source.ts'
import type { LayerReader } from '../contract/layer-reader.ts'
import { S3loError } from '../errors.ts'
import type { ContentReader } from '../graph/read-manifest.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { compressionOf, decompress } from '../stream/decompress.ts'
import { recycle } from '../stream/recycle.ts'
import { TarToc } from '../tar/tar-toc.ts'
import type { TocEntry } from '../tar/toc-entry.ts'

export interface StreamLayerOptions extends CallOptions {
  /** Which files are kept while they pass, because they are probably wanted. */
  readonly keep?: ((entry: TocEntry) => boolean) | undefined
  /** The layer's content, which is read in place of its blob. */
  readonly plain?: PlainLayer | undefined
}

/** What is kept of one layer; a file that does not fit is read again, up to its end (bytes). */
const MAX_KEPT_BYTES = 8 * 1024 * 1024

/** What tells how a layer is compressed (bytes). */
const HEAD_BYTES = 4

/**
 * Reads a layer once from beginning to end, verified: plain, gzip or zstd, told by its first bytes.
 * Throws `INTEGRITY` for one that is no tar, `UNSUPPORTED` for an encrypted one.
 */
export async function streamLayer(
  source: ContentReader,
  layer: Descriptor,
  { keep = () => false, plain, signal }: StreamLayerOptions = {},
): Promise<LayerReader> {
  const toc = new TarToc({ tolerant: true })
  const kept = new Keeper(toc.entries, keep)
  let position = 0
  const tar = plain ? openPlain(plain, { signal }) : openTar(source, layer, { signal })
  for await (const chunk of tar) {
    toc.push(chunk)
    kept.take(chunk, position)
    position += chunk.byteLength
    recycle(chunk)
  }
  toc.finish()
  return {
    entries: toc.entries,
    read: (entry, options) =>
      kept.get(entry) ??
      (plain
        ? openPlain(plain, { ...options, range: rangeOf(entry) })
        : readAgain(source, layer, entry, options)),
  }
}

/** Small files that passed, by entry. */
class Keeper {
  readonly #entries: readonly TocEntry[]
  readonly #isWanted: (entry: TocEntry) => boolean
  readonly #kept = new Map<TocEntry, Uint8Array[]>()
  #seen = 0
  #room = MAX_KEPT_BYTES
  #open: TocEntry | undefined

  constructor(entries: readonly TocEntry[], isWanted: (entry: TocEntry) => boolean) {
    this.#entries = entries
    this.#isWanted = isWanted
  }

  take(chunk: Uint8Array, position: number): void {
    if (this.#open) this.#copy(this.#open, chunk, position)
    for (; this.#seen < this.#entries.length; this.#seen++) {
      const entry = this.#entries[this.#seen]
      if (!entry || entry.size > this.#room || !this.#isWanted(entry)) continue
      this.#room -= entry.size
      this.#kept.set(entry, [])
      this.#copy(entry, chunk, position)
    }
  }

  get(entry: TocEntry): AsyncIterable<Uint8Array> | undefined {
    const chunks = this.#kept.get(entry)
    return chunks && Readable.from(chunks)
  }

  /** Files follow each other, so that no more than one continues in the next chunk. */
  #copy(entry: TocEntry, chunk: Uint8Array, position: number): void {
    const { offset, size } = entry
    const start = Math.max(0, offset - position)
    const part = chunk.subarray(start, Math.max(start, offset + size - position))
    // A copy, or the whole chunk would be kept.
    if (part.length > 0) this.#kept.get(entry)?.push(Buffer.from(part))
    this.#open = offset + size > position + chunk.length ? entry : undefined
  }
}

function rangeOf({ offset, size }: TocEntry): { readonly start: number; readonly end: number } {
  return { start: offset, end: offset + size }
}

/** What was read as a whole before is verified in ranges too: the same chunks, each by its digest. */
async function* openPlain(plain: PlainLayer, options: FetchOptions): AsyncGenerator<Uint8Array> {
  yield* (await plain.open(options)) as AsyncIterable<Uint8Array>
}

async function* readAgain(
  source: ContentReader,
  layer: Descriptor,
  entry: TocEntry,
  options?: CallOptions,
): AsyncGenerator<Uint8Array> {
  const { start: offset, end } = rangeOf(entry)
  let position = 0
  if (entry.size === 0) return
  for await (const chunk of openTar(source, layer, options)) {
    const part = chunk.subarray(Math.max(0, offset - position), Math.max(0, end - position))
    if (part.length > 0) yield part
    position += chunk.byteLength
    if (position >= end) return
  }
  throw new S3loError('INTEGRITY', `layer ${layer.digest} ended before it should`)
}

async function* openTar(
  source: ContentReader,
  layer: Descriptor,
  options?: CallOptions,
): AsyncGenerator<Uint8Array> {
  if (layer.mediaType.includes('+encrypted')) {
    throw new S3loError('UNSUPPORTED', `layer ${layer.digest} is encrypted`)
  }
  const content = await source.fetch(layer, options)
  const iterator: AsyncIterator<Uint8Array> = content[Symbol.asyncIterator]()
  try {
    const head = await readHead(iterator)
    const compression = compressionOf(head)
    const whole = Readable.from(prepend(head, iterator), { objectMode: false })
    if (compression) yield* decompress(whole, compression, `layer ${layer.digest}`)
    else yield* whole as AsyncIterable<Uint8Array>
  } finally {
    content.destroy()
  }
}

async function readHead(iterator: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array()
  while (head.length < HEAD_BYTES) {
    const { done, value } = await iterator.next()
    if (done) break
    head = Buffer.concat([head, value])
  }
  return head
}

async function* prepend(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
