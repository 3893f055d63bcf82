import type { TransformOptions } from 'node:stream'
import type { ZstdOptions } from 'node:zlib'
import { S3loError } from '../errors.ts'
import type { ChunkName } from '../layout/chunk-keys.ts'
import { digestOf } from '../oci/digest.ts'
import { MAX_CHUNK_BYTES } from './gear.ts'

/** The longest frame (bytes): incompressible content grows by the headers of its blocks only. */
export const MAX_FRAME_BYTES = MAX_CHUNK_BYTES + 64 * 1024

/**
 * Of programs and libraries, level 3 makes frames that are about 5 % shorter at little more than half the speed,
 * and a push has to wait for its frames.
 */
const LEVEL = 2

/** Alike for encoders that make the same frames: other versions of zstd may make others. */
export function encoderName(): string {
  return `zstd-${process.versions['zstd']}-level-${LEVEL}`
}

/** What Node takes and its types do not say. */
interface EncoderOptions extends Pick<TransformOptions, 'readableHighWaterMark'> {
  readonly pledgedSrcSize: number
}

/** A chunk as it is stored. */
export interface StoredChunk extends ChunkName {
  /** Raw bytes. */
  readonly size: number
  /** Bytes of the frame. */
  readonly frameSize: number
}

/**
 * Compresses a chunk to one zstd frame (RFC 8878) of its own, with the size of the content and a
 * checksum, on a thread of Node's pool. Another version of zstd may make another frame of it.
 */
export function encodeFrame(raw: Uint8Array): Promise<Uint8Array> {
  const { constants, createZstdCompress } = process.getBuiltinModule('node:zlib')
  const params = {
    [constants.ZSTD_c_compressionLevel]: LEVEL,
    [constants.ZSTD_c_contentSizeFlag]: 1,
    [constants.ZSTD_c_checksumFlag]: 1,
  }
  // Where all of the content comes with the end of the frame, and the longest frame has room, zstd
  // reads the content where it is, in one pass: a stream's window would cost a quarter more time.
  const chunkSize = mostFrameBytes(raw.length)
  const options: ZstdOptions & EncoderOptions = {
    params,
    flush: constants.ZSTD_e_end,
    pledgedSrcSize: raw.length,
    chunkSize,
    // A stream that is full would hold the end of the write back until it is read.
    readableHighWaterMark: chunkSize,
  }
  const encoder = createZstdCompress(options)
  return new Promise((resolve, reject) => {
    encoder.once('error', reject)
    encoder.write(raw, (error) => {
      if (error) return
      const frame = encoder.read() as Buffer
      // The end of the stream would begin a second frame.
      encoder.destroy()
      resolve(ownCopy(frame, chunkSize))
    })
  })
}

/**
 * The frame in memory of its own length. The room that it was made in is freed at once: the collector
 * would come too late, and too often.
 */
function ownCopy(frame: Buffer, room: number): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(frame.length)
  frame.copy(copy)
  const { buffer } = frame
  // A short one may lie in memory that Node shares out.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === room) buffer.transfer(0)
  return copy
}

/** What a stored frame decodes to, all of it verified. Throws `INTEGRITY`. */
export async function decodeFrame(chunk: StoredChunk, frame: Uint8Array): Promise<Uint8Array> {
  const found = digestOf(frame)
  if (frame.length !== chunk.frameSize || found !== chunk.frame) {
    throw damaged(chunk, `expected a frame ${chunk.frame}, got ${found}`)
  }
  const raw = await decompressFrame(frame, chunk.size).catch((error: Error) => {
    throw damaged(chunk, 'its frame cannot be decompressed', error)
  })
  const actual = digestOf(raw)
  if (raw.length === chunk.size && actual === chunk.raw) return raw
  throw damaged(chunk, `expected ${chunk.size} bytes, got ${raw.length} with ${actual}`)
}

/**
 * What a frame decodes to, on a thread of Node's pool: nothing of it is verified, but that it is no more
 * than `size` bytes. Throws what zlib says.
 */
export function decompressFrame(frame: Uint8Array, size: number): Promise<Uint8Array> {
  const { constants, zstdDecompress } = process.getBuiltinModule('node:zlib')
  // One buffer for all of it: a second one is taken when the first is full.
  const chunkSize = Math.max(size + 1, constants.Z_MIN_CHUNK)
  return new Promise((resolve, reject) => {
    zstdDecompress(frame, { maxOutputLength: size, chunkSize }, (error, bytes) => {
      if (error) reject(error)
      else resolve(bytes)
    })
  })
}

function damaged({ raw }: StoredChunk, what: string, cause?: Error): S3loError {
  return new S3loError('INTEGRITY', `chunk ${raw} is damaged: ${what}`, {
    ...(cause && { cause }),
    hint: 'push the image again to repair it',
  })
}

/** zstd's bound of a frame (`ZSTD_COMPRESSBOUND`, bytes), rounded up. */
function mostFrameBytes(rawBytes: number): number {
  return rawBytes + (rawBytes >> 8) + 1024
}
