import type { Transform } from 'node:stream'
import { constants, createGunzip, createInflateRaw, type ZlibOptions } from 'node:zlib'
import { S3loError } from '@s3lo/core/plugin'
import type { Span } from './read.ts'

/**
 * Deflate blocks with no content that end so many bits before a byte does: what zlib's
 * inflatePrime is for, which Node does not offer. The bits of the span go into the last byte.
 */
const PREFIXES: readonly Buffer[] = [
  '',
  '04e081000000000010fc5f4300',
  '02082000',
  '04e081000000000010fc5f03',
  '020800',
  '04e081000000000010fc5f4300010400',
  '0200',
  '04e081000000000010fc5f43000100',
].map((hex) => Buffer.from(hex, 'hex'))

/** The CRC and length at the end of a gzip member (bytes). */
const TRAILER_SIZE = 8

/** Spans end in the middle of a block, where zlib must not expect the stream's end. */
const OPTIONS: ZlibOptions = { finishFlush: constants.Z_SYNC_FLUSH, chunkSize: 256 * 1024 }

/**
 * The first `length` uncompressed bytes of a span whose compressed bytes were verified. Throws
 * `INTEGRITY` when they do not hold as many.
 */
export async function inflateSpan(
  { id, inflate }: Span,
  compressed: Uint8Array,
  length: number,
): Promise<readonly Uint8Array[]> {
  if (length === 0) return []
  if (!inflate) return [compressed.subarray(0, length)]
  const { bits, window } = inflate
  const prefix = PREFIXES[bits] ?? PREFIXES[0] ?? Buffer.alloc(0)
  const input = bits === 0 ? compressed : primed(prefix, bits, compressed)
  const what = `span ${id}`
  const raw = createInflateRaw({ ...OPTIONS, dictionary: window })
  const first = await collect(raw, input, length, what)
  if (first.length === length) return first.chunks
  // The gzip member ended in the span: the next one has a header of its own.
  const rest = input.subarray(raw.bytesWritten + TRAILER_SIZE)
  const missing = length - first.length
  const second = await collect(createGunzip(OPTIONS), rest, missing, what)
  if (second.length < missing) {
    throw new S3loError('INTEGRITY', `${what} holds less content than the zTOC says`)
  }
  return [...first.chunks, ...second.chunks]
}

function primed(prefix: Buffer, bits: number, compressed: Uint8Array): Buffer {
  const input = Buffer.concat([prefix, compressed.subarray(1)])
  const last = prefix.length - 1
  input[last] = (prefix[last] ?? 0) | ((compressed[0] ?? 0) & (0xff << (8 - bits)))
  return input
}

interface Collected {
  readonly chunks: readonly Uint8Array[]
  readonly length: number
}

/** Inflates until there is enough: what a hostile span would inflate to beyond it is never made. */
async function collect(
  stream: Transform,
  input: Uint8Array,
  limit: number,
  what: string,
): Promise<Collected> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    stream.end(input)
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      chunks.push(chunk.subarray(0, limit - length))
      length = Math.min(limit, length + chunk.length)
      if (length === limit) break
    }
  } catch (cause) {
    throw new S3loError('INTEGRITY', `${what} cannot be inflated from its checkpoint`, { cause })
  } finally {
    stream.destroy()
  }
  return { chunks, length }
}
