import { S3loError } from '@s3lo/core/plugin'
import { Builder } from 'flatbuffers'
import { FlatReader } from './flat-reader.ts'

/** How far deflate looks back (bytes). */
export const WINDOW_SIZE = 32 * 1024

const HEADER_SIZE = 12
/** in, out and bits, then the window. */
const RECORD_SIZE = 17 + WINDOW_SIZE

/** A place in a gzip stream where inflating can start. */
export interface Checkpoint {
  /** The compressed offset of the first byte that was not consumed. */
  readonly compressedOffset: number
  readonly uncompressedOffset: number
  /** How many of the high bits of the byte before `compressedOffset` belong to what follows: 0 to 7. */
  readonly bits: number
  /** The 32 KiB of output before, oldest first; zeros where there was less. */
  readonly window: Uint8Array
}

/** The checkpoints of a gzip layer, read where they lie. */
export interface GzipZinfo {
  readonly spanSize: number
  readonly checkpoints: readonly Checkpoint[]
}

/** More checkpoints than this are refused, so that no layer can exhaust memory (bytes). */
const MAX_BYTES = 512 * 1024 * 1024

/** Grown by so many records at once. */
const RECORDS_PER_STEP = 32

/** The zinfo of version 2, made in place: no record is ever copied, as they are most of a zTOC. */
export class GzipZinfoWriter {
  readonly #spanSize: number
  /** Only what it has grown to takes memory. */
  readonly #buffer = new ArrayBuffer(HEADER_SIZE, { maxByteLength: MAX_BYTES })
  #count = 0

  constructor(spanSize: number) {
    this.#spanSize = spanSize
  }

  /** How many checkpoints there are. */
  get count(): number {
    return this.#count
  }

  /** Throws `UNSUPPORTED` for more than a zTOC may have. */
  add(checkpoint: Checkpoint): void {
    const at = HEADER_SIZE + this.#count * RECORD_SIZE
    this.#reserve(at + RECORD_SIZE)
    const record = Buffer.from(this.#buffer, at, RECORD_SIZE)
    record.writeBigInt64LE(BigInt(checkpoint.compressedOffset), 0)
    record.writeBigInt64LE(BigInt(checkpoint.uncompressedOffset), 8)
    record[16] = checkpoint.bits
    record.set(checkpoint.window, 17)
    this.#count += 1
  }

  /** The bytes; they are not copied, so that nothing may be added afterwards. */
  finish(): Uint8Array {
    const header = Buffer.from(this.#buffer, 0, HEADER_SIZE)
    header.writeInt32LE(this.#count, 0)
    header.writeBigInt64LE(BigInt(this.#spanSize), 4)
    return new Uint8Array(this.#buffer, 0, HEADER_SIZE + this.#count * RECORD_SIZE)
  }

  #reserve(size: number): void {
    if (size > MAX_BYTES) {
      throw new S3loError('UNSUPPORTED', `the layer needs over ${MAX_BYTES} bytes of checkpoints`, {
        hint: 'choose a larger span size',
      })
    }
    if (size <= this.#buffer.byteLength) return
    this.#buffer.resize(Math.min(MAX_BYTES, size + RECORDS_PER_STEP * RECORD_SIZE))
  }
}

/** Reads a gzip zinfo of either version. Throws `INTEGRITY` unless its length is what its count says. */
export function parseGzipZinfo(blob: Uint8Array): GzipZinfo {
  if (blob.length < HEADER_SIZE) throw invalid(`it has ${blob.length} bytes`)
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  const count = view.getInt32(0, true)
  const spanSize = whole(view.getBigInt64(4, true), 'span size')
  const records = (blob.length - HEADER_SIZE) / RECORD_SIZE
  // Version 1 leaves the first checkpoint out: it is always the same.
  const version1 = count > 0 && records === count - 1
  if (count < 0 || (records !== count && !version1)) {
    throw invalid(`${count} checkpoints do not take ${blob.length} bytes`)
  }
  const checkpoints = Array.from({ length: records }, (_, i) => readRecord(blob, view, i))
  return { spanSize, checkpoints: version1 ? [FIRST_OF_VERSION_1, ...checkpoints] : checkpoints }
}

const FIRST_OF_VERSION_1: Checkpoint = {
  compressedOffset: 10,
  uncompressedOffset: 0,
  bits: 0,
  window: new Uint8Array(WINDOW_SIZE),
}

function readRecord(blob: Uint8Array, view: DataView, i: number): Checkpoint {
  const at = HEADER_SIZE + i * RECORD_SIZE
  const bits = view.getUint8(at + 16)
  if (bits > 7) throw invalid(`checkpoint ${i} has ${bits} bits`)
  return {
    compressedOffset: whole(view.getBigInt64(at, true), `offset of checkpoint ${i}`),
    uncompressedOffset: whole(view.getBigInt64(at + 8, true), `offset of checkpoint ${i}`),
    bits,
    window: blob.subarray(at + 17, at + RECORD_SIZE),
  }
}

/** What stands in place of checkpoints for a plain tar. */
export interface TarZinfo {
  readonly spanSize: number
  /** Bytes of the layer. */
  readonly size: number
}

/** The zinfo of a plain tar: a FlatBuffer of 48 bytes. */
export function encodeTarZinfo({ spanSize, size }: TarZinfo): Uint8Array {
  const builder = new Builder(64)
  builder.startObject(3)
  builder.addFieldInt32(0, 2, 0)
  builder.addFieldInt64(1, BigInt(spanSize), 0n)
  builder.addFieldInt64(2, BigInt(size), 0n)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

/** Reads the zinfo of a plain tar. Throws `INTEGRITY`. */
export function parseTarZinfo(blob: Uint8Array): TarZinfo {
  const reader = new FlatReader(blob, 'zinfo')
  const table = reader.root()
  const spanSize = reader.int64(table, 1)
  const size = reader.int64(table, 2)
  if (spanSize <= 0 || size < 0) throw invalid(`a span size of ${spanSize}, a size of ${size}`)
  return { spanSize, size }
}

function whole(value: bigint, what: string): number {
  if (value < 0n || value > Number.MAX_SAFE_INTEGER) throw invalid(`the ${what} is ${value}`)
  return Number(value)
}

function invalid(what: string): S3loError {
  return new S3loError('INTEGRITY', `the zTOC's checkpoints are malformed: ${what}`)
}
