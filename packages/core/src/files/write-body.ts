import type { FileHandle } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'
import { recycle } from '../stream/recycle.ts'

/** What may wait in memory while a write is under way. More was no faster, and ten puts at once had 40 MB more. */
const PENDING_BYTES = 512 * 1024
/** A block of a body that is in memory already. */
const BLOCK_BYTES = 4 * 1024 * 1024
/** The disk starts on what was written after so many bytes, rather than when all is written. */
const FLUSH_EVERY_BYTES = 32 * 1024 * 1024

/** What {@link writeBody} checks and obeys. */
export interface WriteBodyOptions {
  /** Names the file in errors. */
  readonly name: string
  /** The length that the body must have (bytes); any length without it. */
  readonly size?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Gives an error of the file system its meaning; the body's own are thrown as they are. */
  readonly toError: (error: unknown) => unknown
}

/**
 * Writes a whole body to an open, empty file and to its disk. Memory stays below 2 MiB.
 * Throws `INTEGRITY` for another length than `size`, and the body's own error when it fails.
 */
export async function writeBody(
  handle: FileHandle,
  body: Uint8Array | Readable,
  options: WriteBodyOptions,
): Promise<void> {
  const { size, signal } = options
  const writer = new FileWriter(handle, options)
  try {
    if (body instanceof Uint8Array) await writer.writeBytes(body, signal)
    else await pipeline(body, writer, { signal })
  } catch (error) {
    // The pipeline only says that it was aborted; the signal knows why.
    signal?.throwIfAborted()
    throw error
  } finally {
    await writer.settled()
  }
  writer.assertFlushed()
  if (size !== undefined && writer.written !== size) throw wrongLength(options, writer.written)
  await handle.datasync().catch((error: unknown) => {
    throw options.toError(error)
  })
}

/** Writes gather while the one before is under way, so many small chunks become few large writes. */
class FileWriter extends Writable {
  written = 0
  readonly #handle: FileHandle
  readonly #options: WriteBodyOptions
  #current: Promise<void> = Promise.resolve()
  #flush: Promise<void> | undefined
  #flushed = 0
  #flushError: unknown

  constructor(handle: FileHandle, options: WriteBodyOptions) {
    super({ highWaterMark: PENDING_BYTES })
    this.#handle = handle
    this.#options = options
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    void this.#run([chunk], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error) => void): void {
    void this.#run(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  async writeBytes(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    for (let start = 0; start < bytes.byteLength; start += BLOCK_BYTES) {
      signal?.throwIfAborted()
      await this.#append([bytes.subarray(start, start + BLOCK_BYTES)])
    }
    this.destroy()
  }

  /** Resolves when nothing uses the file any more, so that it may be closed. */
  async settled(): Promise<void> {
    await this.#current.catch(() => {})
    await this.#flush
  }

  /** Throws what a flush behind the writes has met: the last one ends after the last write. */
  assertFlushed(): void {
    if (this.#flushError !== undefined) throw this.#options.toError(this.#flushError)
  }

  async #run(chunks: readonly Uint8Array[], done: (error?: Error) => void): Promise<void> {
    let failure: Error | undefined
    try {
      this.#current = this.#append(chunks)
      await this.#current
      for (const chunk of chunks) recycle(chunk)
    } catch (error) {
      failure = error as Error
    }
    done(failure)
  }

  async #append(chunks: readonly Uint8Array[]): Promise<void> {
    try {
      const total = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
      const { size } = this.#options
      if (size !== undefined && this.written + total > size) {
        throw wrongLength(this.#options, this.written + total)
      }
      await this.#writeAll(chunks, total)
      this.written += total
      this.#flushBehind()
    } catch (error) {
      throw this.#options.toError(error)
    }
  }

  async #writeAll(chunks: readonly Uint8Array[], total: number): Promise<void> {
    const first = chunks[0]
    if (first === undefined || total === 0) return
    const { bytesWritten } =
      chunks.length === 1 ? await this.#handle.write(first) : await this.#handle.writev(chunks)
    if (bytesWritten < total) await this.#writeAll(rest(chunks, bytesWritten), total - bytesWritten)
  }

  /** Lets the disk work on what is written while more is read. */
  #flushBehind(): void {
    if (this.#flushError !== undefined) throw this.#flushError
    if (this.#flush !== undefined || this.written - this.#flushed < FLUSH_EVERY_BYTES) return
    this.#flushed = this.written
    this.#flush = this.#handle
      .datasync()
      .catch((error: unknown) => {
        // A failed flush is reported once and forgotten by the kernel, so it must not be lost.
        this.#flushError = error
      })
      .finally(() => (this.#flush = undefined))
  }
}

/** What is left of `chunks` after the first `skip` bytes: a disk may take less than it is given. */
function rest(chunks: readonly Uint8Array[], skip: number): readonly Uint8Array[] {
  let left = skip
  return chunks.flatMap((chunk) => {
    const used = Math.min(left, chunk.byteLength)
    left -= used
    return used === chunk.byteLength ? [] : [chunk.subarray(used)]
  })
}

function wrongLength({ name, size }: WriteBodyOptions, actual: number): S3loError {
  const relation = actual > (size ?? 0) ? 'is longer than' : `ends after ${actual} of`
  return new S3loError('INTEGRITY', `the content for ${name} ${relation} ${size} bytes`)
}
