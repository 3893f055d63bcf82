/** What wants buffers back. */
interface BufferOwner {
  giveBack(buffer: ArrayBufferLike): void
}

/** For each buffer that is out. */
const owners = new WeakMap<ArrayBufferLike, BufferOwner>()

/**
 * Says that nothing holds a chunk, or any part of it, any more: its buffer may be filled again at
 * once. To be said once, and only by the last consumer of content whose chunks it shares with no
 * one. Chunks of content that does not come from a pool are left alone.
 */
export function recycle({ buffer }: Uint8Array): void {
  const owner = owners.get(buffer)
  owners.delete(buffer)
  owner?.giveBack(buffer)
}

/**
 * Buffers of one size that content is read into. Fresh memory costs as much as hashing it: a
 * consumer that recycles its chunks saves that, one that keeps them gets fresh ones.
 */
export class ChunkPool implements BufferOwner {
  readonly #size: number
  readonly #free: ArrayBufferLike[] = []

  constructor(size: number) {
    this.#size = size
  }

  take(): Buffer {
    const free = this.#free.pop()
    const chunk = free ? Buffer.from(free) : Buffer.allocUnsafeSlow(this.#size)
    owners.set(chunk.buffer, this)
    return chunk
  }

  giveBack(buffer: ArrayBufferLike): void {
    this.#free.push(buffer)
  }
}

/** Buffers of a {@link SizedPool} are multiples of this (bytes). */
const ROOM_STEP = 1024 * 1024

/**
 * Buffers of many sizes, for content that is held in long pieces of any length. Of those that are
 * recycled, a bounded number of bytes waits for the next use, which may leave half of a buffer empty.
 */
export class SizedPool implements BufferOwner {
  readonly #most: number
  #free: ArrayBufferLike[] = []
  #bytes = 0

  /** @param most What waits for its next use (bytes). */
  constructor(most: number) {
    this.#most = most
  }

  /** Memory of that length, with anything in it. */
  take(length: number): Uint8Array {
    const room = Math.ceil(length / ROOM_STEP) * ROOM_STEP
    const found = this.#free.find(({ byteLength }) => byteLength >= room && byteLength <= 2 * room)
    if (found) this.#remove(found)
    const buffer = found ?? Buffer.allocUnsafeSlow(room).buffer
    owners.set(buffer, this)
    return new Uint8Array(buffer, 0, length)
  }

  giveBack(buffer: ArrayBufferLike): void {
    this.#free.push(buffer)
    this.#bytes += buffer.byteLength
    // The one that has waited longest goes first.
    while (this.#bytes > this.#most && this.#free[0]) this.#remove(this.#free[0])
  }

  #remove(buffer: ArrayBufferLike): void {
    this.#free = this.#free.filter((each) => each !== buffer)
    this.#bytes -= buffer.byteLength
  }
}
