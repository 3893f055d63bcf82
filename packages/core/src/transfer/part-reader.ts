import type { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'
import { recycle } from '../stream/recycle.ts'

/** What a {@link PartReader} is to find. */
export interface PartReaderOptions {
  /** Names the content in errors. */
  readonly what: string
  /** The length that the content must have, in bytes; any length without it. */
  readonly size?: number | undefined
}

/**
 * Reads content in parts; the last of them can be had once more, together with all that follows.
 * Throws `INTEGRITY` for content of another size, and what the content fails with.
 */
export class PartReader {
  readonly #chunks: AsyncIterator<unknown>
  readonly #options: PartReaderOptions
  #received = 0
  /** Read already, and in no part yet. */
  #ahead: Uint8Array = new Uint8Array()
  #last: Uint8Array = new Uint8Array()

  /** The content stays the caller's to destroy. */
  constructor(content: Readable, options: PartReaderOptions) {
    this.#chunks = content[Symbol.asyncIterator]()
    this.#options = options
  }

  /** The next part: `memory`, filled as far as there is content; empty at its end. */
  async fill(memory: Uint8Array): Promise<Uint8Array> {
    let length = 0
    while (length < memory.byteLength && (await this.hasMore())) {
      const ahead = this.#ahead
      const taken = ahead.subarray(0, memory.byteLength - length)
      memory.set(taken, length)
      length += taken.byteLength
      this.#ahead = ahead.subarray(taken.byteLength)
      if (this.#ahead.byteLength === 0) recycle(ahead)
    }
    this.#last = memory.subarray(0, length)
    return this.#last
  }

  /** The last part again, in the memory that it was read into, and what follows as it comes. */
  async *fromLast(): AsyncGenerator<Uint8Array, void> {
    yield this.#last
    while (await this.hasMore()) {
      const chunk = this.#ahead
      this.#ahead = new Uint8Array()
      yield chunk
    }
  }

  /** Whether any content is left: waits for the next of it, or for the end. */
  async hasMore(): Promise<boolean> {
    const { size = Infinity } = this.#options
    while (this.#ahead.byteLength === 0) {
      const { done, value } = await this.#chunks.next()
      if (done) {
        assertLength(this.#options, this.#received)
        return false
      }
      if (!(value instanceof Uint8Array)) throw new S3loError('INTERNAL', 'content must be bytes')
      this.#received += value.byteLength
      if (this.#received > size) assertLength(this.#options, this.#received)
      this.#ahead = value
    }
    return true
  }
}

/** Throws `INTEGRITY` for content of another length than it was to have. */
export function assertLength({ what, size }: PartReaderOptions, received: number): void {
  if (size === undefined || received === size) return
  const got = received > size ? 'more' : String(received)
  throw new S3loError('INTEGRITY', `${what}: expected ${size} bytes, got ${got}`)
}
