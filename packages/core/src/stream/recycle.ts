/** What wants a buffer back. */
interface Owner {
  giveBack(buffer: ArrayBufferLike): void
}

/** The owner of each buffer that is out. */
const owners = new WeakMap<ArrayBufferLike, Owner>()

/** Frees a buffer at once. The garbage collector would do so later, after whole rounds that its size brings on. */
const FREEING: Owner = {
  giveBack(buffer) {
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  },
}

/** Less is not worth the call. */
const LEAST_FREED_BYTES = 16 * 1024

/**
 * Says that nothing holds a chunk, or any part of it, any more: its buffer may be filled again, or
 * freed, at once. To be said once, and only by the last consumer of content whose chunks it shares with
 * no one. Chunks that are neither a pool's nor {@link recyclable} are left alone.
 */
export function recycle({ buffer }: Uint8Array): void {
  const owner = owners.get(buffer)
  if (!owner) return
  owners.delete(buffer)
  owner.giveBack(buffer)
}

/**
 * Lets {@link recycle} free the memory of a chunk that Node's HTTP parser has made, which is a buffer of
 * its own. Gives the chunk back.
 */
export function recyclable<T extends Uint8Array>(chunk: T): T {
  const { buffer, byteLength } = chunk
  // Memory that is shared with other chunks is longer than each.
  const isWhole = byteLength === buffer.byteLength
  if (isWhole && byteLength >= LEAST_FREED_BYTES) owners.set(buffer, FREEING)
  return chunk
}

/**
 * Buffers of one size that content is read into. Fresh memory costs as much as hashing it: a
 * consumer that recycles its chunks saves that, one that keeps them gets fresh ones.
 */
export class ChunkPool implements Owner {
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

/**
 * Buffers of a {@link SizedPool} are multiples of this (bytes), so that nearly all pieces of layers find room in
 * any of them. What is never written to takes no memory.
 */
const ROOM_STEP = 6 * 1024 * 1024

/**
 * Buffers of many sizes, for content that is held in long pieces of any length. Of those that are
 * recycled, a bounded number of bytes waits for the next use.
 */
export class SizedPool implements Owner {
  readonly #most: number
  readonly #isShared: boolean
  #free: ArrayBufferLike[] = []
  #bytes = 0

  /**
   * @param most What waits for its next use (bytes).
   * @param isShared Other threads can read the buffers.
   */
  constructor(most: number, isShared = false) {
    this.#most = most
    this.#isShared = isShared
  }

  /** Memory of that length, with anything in it. */
  take(length: number): Uint8Array {
    const room = Math.ceil(length / ROOM_STEP) * ROOM_STEP
    const found = this.#free.findLast(({ byteLength }) => byteLength === room)
    if (found) this.#remove(found)
    const buffer = found ?? this.#allocate(room)
    owners.set(buffer, this)
    return new Uint8Array(buffer, 0, length)
  }

  giveBack(buffer: ArrayBufferLike): void {
    this.#free.push(buffer)
    this.#bytes += buffer.byteLength
    // The one that has waited longest goes first.
    while (this.#bytes > this.#most && this.#free[0]) this.#remove(this.#free[0])
  }

  #allocate(bytes: number): ArrayBufferLike {
    return this.#isShared ? new SharedArrayBuffer(bytes) : Buffer.allocUnsafeSlow(bytes).buffer
  }

  #remove(buffer: ArrayBufferLike): void {
    this.#free = this.#free.filter((each) => each !== buffer)
    this.#bytes -= buffer.byteLength
  }
}
