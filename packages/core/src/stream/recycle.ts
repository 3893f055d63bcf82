/** What wants a buffer back, for each that is out. */
const owners = new WeakMap<ArrayBufferLike, ChunkPool>()

/**
 * Says that nothing holds a chunk, or any part of it, any more: its buffer may be filled again at
 * once. To be said once, and only by the last consumer of content whose chunks it shares with no
 * one. Chunks of content that does not come from a {@link ChunkPool} are left alone.
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
export class ChunkPool {
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
