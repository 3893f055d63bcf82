import { createHash, type Hash } from 'node:crypto'
import { S3loError } from '@s3lo/core/plugin'
import {
  GZheader,
  Z_BLOCK,
  Z_BUF_ERROR,
  Z_OK,
  Z_STREAM_END,
  zlibInflate,
  zlibInflateGetHeader,
  zlibInflateInit2,
  zlibInflateReset2,
  ZStream,
} from 'pako'
import { GzipZinfoWriter, WINDOW_SIZE } from './zinfo.ts'

/** Tells zlib to expect a gzip header and trailer, and nothing else. */
const GZIP_WINDOW_BITS = 15 + 16

/** Go's gzip reader, which the snapshotter opens a layer with, refuses a longer name or comment (bytes). */
const MAX_HEADER_TEXT = 511

/** How much output is gathered before it is passed on (bytes). */
const OUTPUT_SIZE = 512 * 1024

/** Bits of zlib's `data_type` when it stops at the end of a block. */
const UNUSED_BITS = 7
const LAST_BLOCK = 64
const AT_BLOCK_END = 128

export interface GzipCheckpointsOptions {
  /** Uncompressed bytes between checkpoints, at least. */
  readonly spanSize: number
  /** Gets the content as it is inflated; the bytes are only valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void
  /** Writes a second checkpoint at offset 0 after empty blocks, as the original does; no reader accepts it. */
  readonly keepDuplicates?: boolean | undefined
}

/** The spans of a layer that was read to its end. */
export interface Spans {
  readonly spanDigests: readonly string[]
  readonly checkpoints: Uint8Array
}

/**
 * Inflates gzip that is pushed in pieces of any size, all members of it, and notes where reading
 * can start again: after the header and at the first end of a block that is more than a span
 * behind the last such place. Throws `INTEGRITY` for anything but whole gzip members, and
 * `UNSUPPORTED` for a header that the snapshotter refuses.
 */
export class GzipCheckpoints {
  readonly #options: GzipCheckpointsOptions
  readonly #stream = new ZStream()
  /** Of the first member. */
  readonly #header = new GZheader()
  /** The window of what was passed on, then what was not. */
  readonly #output = new Uint8Array(WINDOW_SIZE + OUTPUT_SIZE)
  readonly #zinfo: GzipZinfoWriter
  readonly #digests: string[] = []
  #hash: Hash | undefined
  /** How much of the current chunk is in the hash. */
  #hashed = 0
  #compressed = 0
  #uncompressed = 0
  #lastCheckpoint = 0
  #previousByte = 0
  #passedOn = WINDOW_SIZE
  #memberEnded = false

  constructor(options: GzipCheckpointsOptions) {
    this.#options = options
    this.#zinfo = new GzipZinfoWriter(options.spanSize)
    this.#stream.output = this.#output
    this.#stream.next_out = WINDOW_SIZE
    this.#stream.avail_out = OUTPUT_SIZE
    zlibInflateInit2(this.#stream, GZIP_WINDOW_BITS)
    zlibInflateGetHeader(this.#stream, this.#header)
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    const stream = this.#stream
    stream.input = chunk
    stream.next_in = 0
    stream.avail_in = chunk.length
    this.#hashed = 0
    while (stream.avail_in > 0 || (stream.avail_out === 0 && !this.#memberEnded)) this.#step(chunk)
    this.#hash?.update(chunk.subarray(this.#hashed))
    this.#previousByte = chunk[chunk.length - 1] ?? 0
  }

  /** Says that no more comes. Throws `INTEGRITY` when the last member is not whole. */
  finish(): Spans {
    if (!this.#memberEnded) throw corrupt(`it breaks off after ${this.#compressed} bytes`)
    this.#passOn()
    this.#endSpan()
    return { spanDigests: this.#digests, checkpoints: this.#zinfo.finish() }
  }

  #step(chunk: Uint8Array): void {
    const stream = this.#stream
    if (this.#memberEnded) this.#nextMember()
    if (stream.avail_out === 0) this.#passOn()
    const { next_in: inBefore, next_out: outBefore } = stream
    const status = zlibInflate(stream, Z_BLOCK)
    this.#compressed += stream.next_in - inBefore
    this.#uncompressed += stream.next_out - outBefore
    if (status === Z_STREAM_END) {
      this.#memberEnded = true
    } else if (status !== Z_OK && (status !== Z_BUF_ERROR || stream.avail_in > 0)) {
      throw corrupt(`${stream.msg || 'bad data'} near byte ${this.#compressed}`)
    } else if ((stream.data_type & (AT_BLOCK_END | LAST_BLOCK)) === AT_BLOCK_END) {
      this.#blockEnded(chunk)
    }
  }

  #nextMember(): void {
    this.#memberEnded = false
    zlibInflateReset2(this.#stream, GZIP_WINDOW_BITS)
  }

  #blockEnded(chunk: Uint8Array): void {
    const { spanSize, keepDuplicates = false } = this.#options
    const isFirst = this.#zinfo.count === 0 || (keepDuplicates && this.#uncompressed === 0)
    if (this.#zinfo.count === 0) checkHeader(this.#header)
    if (!isFirst && this.#uncompressed - this.#lastCheckpoint <= spanSize) return
    const { next_in: at, next_out: end, data_type: dataType } = this.#stream
    const bits = dataType & UNUSED_BITS
    this.#hash?.update(chunk.subarray(this.#hashed, at))
    this.#endSpan()
    this.#hash = createHash('sha256')
    if (bits > 0)
      this.#hash.update(Uint8Array.of((at > 0 ? chunk[at - 1] : undefined) ?? this.#previousByte))
    this.#hashed = at
    this.#lastCheckpoint = this.#uncompressed
    this.#zinfo.add({
      compressedOffset: this.#compressed,
      uncompressedOffset: this.#uncompressed,
      bits,
      window: this.#output.subarray(end - WINDOW_SIZE, end),
    })
  }

  #endSpan(): void {
    if (this.#hash) this.#digests.push(`sha256:${this.#hash.digest('hex')}`)
    this.#hash = undefined
  }

  #passOn(): void {
    const stream = this.#stream
    this.#options.onOutput(this.#output.subarray(this.#passedOn, stream.next_out))
    this.#output.copyWithin(0, stream.next_out - WINDOW_SIZE, stream.next_out)
    stream.next_out = WINDOW_SIZE
    stream.avail_out = OUTPUT_SIZE
    this.#passedOn = WINDOW_SIZE
  }
}

function checkHeader({ name, comment }: GZheader): void {
  for (const [what, text] of Object.entries({ name, comment })) {
    if ((text?.length ?? 0) <= MAX_HEADER_TEXT) continue
    throw new S3loError(
      'UNSUPPORTED',
      `the gzip header has a ${what} of over ${MAX_HEADER_TEXT} bytes, which readers of zTOCs refuse`,
    )
  }
}

function corrupt(what: string): S3loError {
  return new S3loError('INTEGRITY', `the layer is not valid gzip: ${what}`)
}
