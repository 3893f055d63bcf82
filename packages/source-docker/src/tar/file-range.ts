import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { S3loError, toS3loError } from '@s3lo/core'
import { ChunkPool } from '@s3lo/core/plugin'

/** A push of ten layers takes a quarter less processor time than with 64 KiB, and the same memory. */
const READ_SIZE = 256 * 1024

/**
 * The bytes `[start, end)` of an open file. Many may read one handle at once: each has its own
 * position, and none closes the handle.
 */
export class FileRange extends Readable {
  readonly #handle: FileHandle
  readonly #end: number
  readonly #name: string
  readonly #chunks = new ChunkPool(READ_SIZE)
  #position: number

  constructor(handle: FileHandle, start: number, end: number, name: string) {
    super({ highWaterMark: READ_SIZE })
    this.#handle = handle
    this.#position = start
    this.#end = end
    this.#name = name
  }

  override _read(): void {
    const wanted = Math.min(READ_SIZE, this.#end - this.#position)
    if (wanted <= 0) {
      this.push(null)
      return
    }
    const chunk = wanted === READ_SIZE ? this.#chunks.take() : Buffer.allocUnsafeSlow(wanted)
    this.#handle.read(chunk, 0, wanted, this.#position).then(
      ({ bytesRead, buffer }) => this.#arrived(bytesRead, buffer),
      (error: unknown) => this.destroy(toS3loError(error, 'IO', `cannot read ${this.#name}`)),
    )
  }

  #arrived(bytesRead: number, buffer: Buffer): void {
    if (bytesRead === 0) {
      this.destroy(new S3loError('INTEGRITY', `${this.#name} became shorter while it was read`))
      return
    }
    this.#position += bytesRead
    this.push(buffer.subarray(0, bytesRead))
  }
}
