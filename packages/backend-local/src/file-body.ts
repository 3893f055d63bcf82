import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'
import { toLocalError } from './errors.ts'

const CHUNK_BYTES = 128 * 1024

/** Where a {@link FileBody} starts and ends, and what errors call it. */
export interface FileBodyOptions {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  readonly name: string
  readonly signal?: AbortSignal | undefined
}

/**
 * The bytes of an open file, which it closes. The open file is one version of the object, whatever
 * is renamed over it. Fails with `INTEGRITY` when somebody truncates it in place meanwhile.
 */
export class FileBody extends Readable {
  readonly #handle: FileHandle
  readonly #name: string
  readonly #end: number
  #position: number
  #reading: Promise<void> | undefined

  constructor(handle: FileHandle, { start, end, name, signal }: FileBodyOptions) {
    super({ highWaterMark: CHUNK_BYTES })
    this.#handle = handle
    this.#name = name
    this.#position = start
    this.#end = end
    if (signal !== undefined) this.#stopOn(signal)
  }

  override _read(): void {
    this.#reading = this.#readChunk().catch((error: unknown) => {
      this.destroy(toLocalError(error, this.#name) as Error)
    })
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    void this.#close(error, done)
  }

  async #close(error: Error | null, done: (error?: Error | null) => void): Promise<void> {
    let failure = error
    try {
      // A file that is closed while it is read could be another file's number by then.
      await this.#reading
      await this.#handle.close()
    } catch (closing) {
      failure ??= closing as Error
    }
    done(failure)
  }

  async #readChunk(): Promise<void> {
    const length = Math.min(CHUNK_BYTES, this.#end - this.#position)
    if (length <= 0) {
      this.push(null)
      return
    }
    const buffer = Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await this.#handle.read(buffer, 0, length, this.#position)
    if (bytesRead === 0) {
      throw new S3loError('INTEGRITY', `${this.#name} became shorter while it was read`)
    }
    this.#position += bytesRead
    this.push(buffer.subarray(0, bytesRead))
  }

  #stopOn(signal: AbortSignal): void {
    const stop = (): void => void this.destroy(signal.reason)
    // A body that nobody reads yet must not crash the process; who reads it later gets the error.
    this.on('error', () => {})
    this.once('close', () => signal.removeEventListener('abort', stop))
    signal.addEventListener('abort', stop, { once: true })
  }
}
