import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { S3loError } from '@s3lo/core'
import { asError } from '../stream/abortable.ts'
import { FileRange } from './file-range.ts'

/** Bytes in order, of a file that can seek or of a stream that cannot. */
export interface ByteReader {
  /** How many bytes have gone by. */
  readonly position: number
  /** The next `size` bytes, which stay; fewer where the input ends. */
  peek(size: number): Promise<Buffer>
  /** Passes over `size` bytes. Throws `INTEGRITY` when the input ends before. */
  skip(size: number): Promise<void>
  /** The next `size` bytes as a stream, to be read or destroyed, and closed, before the reader continues. */
  content(size: number): Readable
}

/** Reads a file by position: passing over bytes costs nothing. The handle stays the caller's. */
export class FileReader implements ByteReader {
  readonly #handle: FileHandle
  readonly #size: number
  readonly #name: string
  #position = 0

  constructor(handle: FileHandle, size: number, name: string) {
    this.#handle = handle
    this.#size = size
    this.#name = name
  }

  get position(): number {
    return this.#position
  }

  async peek(size: number): Promise<Buffer> {
    const buffer = Buffer.alloc(Math.max(0, Math.min(size, this.#size - this.#position)))
    let filled = 0
    while (filled < buffer.length) {
      const { bytesRead } = await this.#handle.read(
        buffer,
        filled,
        buffer.length - filled,
        this.#position + filled,
      )
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  }

  async skip(size: number): Promise<void> {
    if (this.#position + size > this.#size) throw truncated(this.#name)
    this.#position += size
  }

  content(size: number): Readable {
    if (this.#position + size > this.#size) throw truncated(this.#name)
    const start = this.#position
    this.#position += size
    return new FileRange(this.#handle, start, start + size, this.#name)
  }
}

/** Reads a stream once, in order. Destroying the stream is the caller's business. */
export class StreamReader implements ByteReader {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #name: string
  #rest: Buffer = Buffer.alloc(0)
  #position = 0

  constructor(source: AsyncIterable<Buffer>, name: string) {
    this.#chunks = source[Symbol.asyncIterator]()
    this.#name = name
  }

  get position(): number {
    return this.#position
  }

  async peek(size: number): Promise<Buffer> {
    if (this.#rest.length < size) {
      const parts = [this.#rest]
      let length = this.#rest.length
      while (length < size) {
        const next = await this.#chunks.next()
        if (next.done) break
        parts.push(next.value)
        length += next.value.length
      }
      this.#rest = Buffer.concat(parts, length)
    }
    return this.#rest.subarray(0, size)
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) left -= (await this.#take(left)).length
  }

  content(size: number): Readable {
    return new Portion(size, (limit) => this.#take(limit))
  }

  /** Everything that is left, for a decompressor. */
  rest(): Readable {
    return Readable.from(this.#remaining(), { objectMode: false })
  }

  async *#remaining(): AsyncGenerator<Buffer> {
    while ((await this.peek(1)).length > 0) yield await this.#take(Number.MAX_SAFE_INTEGER)
  }

  /** What is at hand of the next `limit` bytes, at least one. */
  async #take(limit: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) throw truncated(this.#name)
      this.#rest = next.value
    }
    const piece = this.#rest.subarray(0, limit)
    this.#rest = this.#rest.subarray(piece.length)
    this.#position += piece.length
    return piece
  }
}

/** A number of bytes that someone else hands out. It closes only once no piece is on its way. */
class Portion extends Readable {
  readonly #take: (limit: number) => Promise<Buffer>
  #left: number
  #pending: Promise<void> = Promise.resolve()

  constructor(size: number, take: (limit: number) => Promise<Buffer>) {
    super()
    this.#left = size
    this.#take = take
  }

  override _read(): void {
    if (this.#left === 0) this.push(null)
    else this.#pending = this.#next()
  }

  override _destroy(failure: Error | null, close: (failure: Error | null) => void): void {
    void this.#pending.then(() => close(failure))
  }

  async #next(): Promise<void> {
    try {
      const piece = await this.#take(this.#left)
      this.#left -= piece.length
      this.push(piece)
    } catch (error) {
      this.destroy(asError(error))
    }
  }
}

function truncated(name: string): S3loError {
  return new S3loError('INTEGRITY', `${name} is truncated`)
}
