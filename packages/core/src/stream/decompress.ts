import type { Readable } from 'node:stream'
import type { Gunzip, ZstdDecompress } from 'node:zlib'
import { S3loError, toS3loError } from '../errors.ts'
import { isZstdMagic, ZstdFrames } from './zstd-frames.ts'

/** The compressions of layers and archives that are read. */
export type Compression = 'gzip' | 'zstd'

const GZIP = Buffer.of(0x1f, 0x8b)

/** How content is compressed, by its first four bytes; `undefined` where it is in no way known here. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const bytes = Buffer.from(head.subarray(0, 4))
  if (bytes.subarray(0, 2).equals(GZIP)) return 'gzip'
  const magic = bytes.length === 4 ? bytes.readUInt32LE() : 0
  return isZstdMagic(magic) ? 'zstd' : undefined
}

type Decompressor = Gunzip | ZstdDecompress

const OPTIONS = { chunkSize: 256 * 1024 }

/**
 * What comes out of all members of a gzip (RFC 1952, section 2.2) or all frames of a zstd (RFC
 * 8878, section 3.1). The content is read to its end, past the compressed data
 * too, so that its digest is judged, unless the consumer stops; it is destroyed in any case. Throws
 * what reading throws, and `INTEGRITY` where the content is damaged or cut short.
 */
export async function* decompress(
  content: Readable,
  compression: Compression,
  name: string,
): AsyncGenerator<Buffer> {
  const frames = new ZstdFrames()
  const input = new Input(content, compression === 'zstd' ? frames : undefined)
  try {
    yield* through(input, compression)
    for (let rest = await input.peek(); rest; rest = await input.peek()) {
      // What follows the members of a gzip is padding.
      if (compression === 'zstd') yield* through(input, compression)
      else input.take(rest.length)
    }
    if (compression === 'zstd' && !frames.isWhole) {
      throw new S3loError('INTEGRITY', `${name} cannot be decompressed: it is cut short`)
    }
  } catch (error) {
    throw isZlibError(error)
      ? toS3loError(error, 'INTEGRITY', `${name} cannot be decompressed`)
      : error
  } finally {
    content.destroy()
  }
}

/** Chunks that a decompressor may take in part. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #frames: ZstdFrames | undefined
  #rest: Uint8Array = new Uint8Array()

  constructor(content: AsyncIterable<Uint8Array>, frames: ZstdFrames | undefined) {
    this.#chunks = content[Symbol.asyncIterator]()
    this.#frames = frames
  }

  /** What is at hand, at least one byte; `undefined` at the end. */
  async peek(): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return undefined
      this.#rest = next.value
      this.#frames?.push(next.value)
    }
    return this.#rest
  }

  take(length: number): void {
    this.#rest = this.#rest.subarray(length)
  }
}

/**
 * What one decompressor makes of the input, of which it takes no byte too many. That of zstd ends
 * with a frame, unless a chunk ends there too, and that of gzip with the last member.
 */
async function* through(input: Input, compression: Compression): AsyncGenerator<Buffer> {
  // Loaded with its first use: most transfers decompress nothing.
  const { createGunzip, createZstdDecompress } = process.getBuiltinModule('node:zlib')
  const decompressor: Decompressor =
    compression === 'gzip' ? createGunzip(OPTIONS) : createZstdDecompress(OPTIONS)
  const fed = feed(decompressor, input)
  try {
    yield* decompressor as AsyncIterable<Buffer>
  } finally {
    decompressor.destroy()
  }
  await fed
}

/** Never rejects: a failure of the input is the decompressor's. */
async function feed(decompressor: Decompressor, input: Input): Promise<void> {
  try {
    for (let chunk = await input.peek(); chunk; chunk = await input.peek()) {
      const before = decompressor.bytesWritten
      await write(decompressor, chunk)
      const taken = decompressor.bytesWritten - before
      input.take(taken)
      // It has ended by itself, and would take what follows for more of the same.
      if (taken < chunk.length) return
    }
    decompressor.end()
  } catch (error) {
    decompressor.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** Resolves once the chunk was taken, as far as it is, or the decompressor was destroyed. */
function write(decompressor: Decompressor, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      decompressor.off('close', done)
      resolve()
    }
    decompressor.once('close', done)
    decompressor.write(chunk, done)
  })
}

function isZlibError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^(?:Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)
}
