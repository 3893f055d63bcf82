import { S3loError } from '@s3lo/core/plugin'
import { type CompressionAlgorithm, encodeZtoc, type Ztoc, ZTOC_VERSION } from './flatbuffer.ts'
import { GzipCheckpoints, type Spans } from './gzip-checkpoints.ts'
import { PlainSpans } from './plain-spans.ts'
import { TarToc, XATTR_PREFIX } from '@s3lo/core/tar'

/** Uncompressed bytes of a span unless asked otherwise. */
export const DEFAULT_SPAN_SIZE = 4 * 1024 * 1024

/** Who built it, as every zTOC and index says; the digests depend on it. */
export const DEFAULT_BUILD_TOOL_IDENTIFIER = 's3lo soci v1'

/** What the original says of itself, for bytes that equal its own. */
export const UPSTREAM_BUILD_TOOL_IDENTIFIER = 'AWS SOCI CLI v0.2'

/** What tells the algorithm of a layer (bytes). */
export const ALGORITHM_BYTES = 2

/** The algorithm of a layer, by its first bytes. */
export function algorithmOf(head: Uint8Array): CompressionAlgorithm {
  return head[0] === 0x1f && head[1] === 0x8b ? 'gzip' : 'uncompressed'
}

/** How a zTOC is built. The same options and the same layer give the same bytes. */
export interface ZtocOptions {
  /** Uncompressed bytes between places where reading can start; 0 is every deflate block. */
  readonly spanSize?: number | undefined
  readonly buildToolIdentifier?: string | undefined
  /** `auto` looks at the first bytes. Default: `auto`. */
  readonly algorithm?: CompressionAlgorithm | 'auto' | undefined
  /**
   * Byte for byte what the original writes where that is known to be unreadable: a second
   * checkpoint at offset 0, and sizes of links that have no content. Default: false.
   */
  readonly upstreamDefects?: boolean | undefined
}

/** A zTOC with what its index says of it. */
export interface BuiltZtoc {
  readonly content: Uint8Array
  /** Bytes of the layer that was read. */
  readonly layerSize: number
  readonly algorithm: CompressionAlgorithm
  /** True when neither an extended attribute nor an opaque directory is in the layer. */
  readonly needsNoXattrs: boolean
}

interface SpanBuilder {
  push(chunk: Uint8Array): void
  finish(): Spans
}

/** Builds a zTOC from a layer that is pushed in pieces of any size, on the calling thread. */
export class ZtocBuilder {
  readonly #options: ZtocOptions
  readonly #spanSize: number
  readonly #toc: TarToc
  #algorithm: CompressionAlgorithm | undefined
  #spans: SpanBuilder | undefined
  /** The first byte, while one is not enough to tell the algorithm. */
  #held: Uint8Array | undefined
  #size = 0

  /** Throws `USAGE` for options that make no zTOC. */
  constructor(options: ZtocOptions = {}) {
    const { spanSize = DEFAULT_SPAN_SIZE, upstreamDefects = false, algorithm = 'auto' } = options
    if (!Number.isSafeInteger(spanSize) || spanSize < 0) {
      throw new S3loError('USAGE', `a span size of ${spanSize} is not 0 or more bytes`)
    }
    this.#options = options
    this.#spanSize = spanSize
    this.#toc = new TarToc({ keepLinkSizes: upstreamDefects })
    if (algorithm !== 'auto') this.#start(algorithm)
  }

  /** Throws `INTEGRITY` for a broken layer and `UNSUPPORTED` for one that no zTOC can describe. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#size += chunk.length
    if (this.#spans) {
      this.#feed(chunk)
      return
    }
    const head = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    if (head.length < ALGORITHM_BYTES) {
      this.#held = Uint8Array.from(head)
      return
    }
    this.#start(algorithmOf(head))
    this.#feed(head)
  }

  /** The finished zTOC. Throws as {@link push}. */
  finish(): BuiltZtoc {
    const spans = this.#spans ?? this.#startShort()
    const { spanDigests, checkpoints } = spans.finish()
    this.#toc.finish()
    const algorithm = this.#algorithm ?? 'uncompressed'
    const ztoc: Ztoc = {
      version: ZTOC_VERSION,
      buildToolIdentifier: this.#options.buildToolIdentifier ?? DEFAULT_BUILD_TOOL_IDENTIFIER,
      compressedSize: this.#size,
      uncompressedSize: this.#toc.position,
      entries: this.#toc.entries,
      algorithm,
      maxSpanId: spanDigests.length - 1,
      spanDigests,
      checkpoints,
    }
    const content = encodeZtoc(ztoc)
    return { content, layerSize: this.#size, algorithm, needsNoXattrs: needsNoXattrs(ztoc) }
  }

  /** A layer of less than two bytes. */
  #startShort(): SpanBuilder {
    const spans = this.#start('uncompressed')
    if (this.#held) this.#feed(this.#held)
    return spans
  }

  #feed(chunk: Uint8Array): void {
    this.#spans?.push(chunk)
    if (this.#algorithm === 'uncompressed') this.#toc.push(chunk)
  }

  #start(algorithm: CompressionAlgorithm): SpanBuilder {
    if (algorithm === 'uncompressed' && this.#spanSize === 0) {
      throw new S3loError('USAGE', 'a span size of 0 bytes is only possible for gzip layers')
    }
    this.#algorithm = algorithm
    this.#spans =
      algorithm === 'gzip'
        ? new GzipCheckpoints({
            spanSize: this.#spanSize,
            keepDuplicates: this.#options.upstreamDefects,
            onOutput: (bytes) => this.#toc.push(bytes),
          })
        : new PlainSpans(this.#spanSize)
    return this.#spans
  }
}

/**
 * True when no entry has an extended attribute and none is an opaque marker: then a lazily mounted
 * layer may stop answering questions for attributes.
 */
export function needsNoXattrs({ entries }: Pick<Ztoc, 'entries'>): boolean {
  return entries.every(
    ({ name, paxRecords }) =>
      !name.endsWith('.wh..wh..opq') &&
      [...paxRecords.keys()].every((key) => !key.startsWith(XATTR_PREFIX)),
  )
}
