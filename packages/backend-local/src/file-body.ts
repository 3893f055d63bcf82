import { close, closeSync, read, readSync } from 'node:fs'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { ChunkPool, HeldContent, S3loError } from '@s3lo/core/plugin'
import { toLocalError } from './errors.ts'

const CHUNK_BYTES = 256 * 1024

/** So much is read at once when the body is opened: a manifest, a config, a history. */
const SMALL_BYTES = 64 * 1024

const readAsync = promisify(read)
const closeAsync = promisify(close)

/** Where a {@link FileBody} starts and ends, and what errors call it. */
export interface FileBodyOptions {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  readonly name: string
  readonly signal?: AbortSignal | undefined
}

/**
 * The bytes of an open file, which is closed with the body. A few are read at once, and leave no
 * file open: a caller that reads thousands of manifests waits for no thread.
 */
export function fileBody(fd: number, options: FileBodyOptions): Readable {
  const { start, end, name } = options
  if (end - start > SMALL_BYTES) return new FileBody(fd, options)
  try {
    const content = Buffer.allocUnsafeSlow(Math.max(0, end - start))
    for (let length = 0; length < content.length;) {
      const bytesRead = readSync(fd, content, length, content.length - length, start + length)
      if (bytesRead === 0) throw shortened(name)
      length += bytesRead
    }
    return new HeldContent(content)
  } catch (error) {
    throw toLocalError(error, name)
  } finally {
    closeSync(fd)
  }
}

/**
 * The bytes of an open file, which it closes. The open file is one version of the object, even if
 * another is renamed over it. Fails with `INTEGRITY` when it is truncated in place meanwhile.
 */
class FileBody extends Readable {
  readonly #fd: number
  readonly #name: string
  readonly #end: number
  readonly #chunks = new ChunkPool(CHUNK_BYTES)
  #position: number
  #reading: Promise<void> | undefined

  constructor(fd: number, { start, end, name, signal }: FileBodyOptions) {
    super({ highWaterMark: CHUNK_BYTES })
    this.#fd = fd
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
      await closeAsync(this.#fd)
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
    const isWhole = length === CHUNK_BYTES
    const buffer = isWhole ? this.#chunks.take() : Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await readAsync(this.#fd, buffer, 0, length, this.#position)
    if (bytesRead === 0) {
      throw shortened(this.#name)
    }
    this.#position += bytesRead
    this.push(buffer.subarray(0, bytesRead))
  }

  #stopOn(signal: AbortSignal): void {
    const stop = (): void => void this.destroy(signal.reason)
    // A body that is not read yet must not crash the process; a later reader gets the error.
    this.on('error', () => {})
    this.once('close', () => signal.removeEventListener('abort', stop))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  }
}

function shortened(name: string): S3loError {
  return new S3loError('INTEGRITY', `${name} became shorter while it was read`)
}
