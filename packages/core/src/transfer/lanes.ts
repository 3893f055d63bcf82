/**
 * Memory for the parts that are under way at once in all transfers of a backend together. One part
 * every transfer may always have, so none waits for another; more only while there is room.
 */
export class Lanes {
  #freeBytes: number

  constructor(bytes: number) {
    this.#freeBytes = bytes
  }

  /** Reserves `bytes`; `false` when so many are not free. */
  tryTake(bytes: number): boolean {
    if (this.#freeBytes < bytes) return false
    this.#freeBytes -= bytes
    return true
  }

  /** Reserves `bytes` whether they are free or not: for the one part that a transfer always has. */
  take(bytes: number): void {
    this.#freeBytes -= bytes
  }

  giveBack(bytes: number): void {
    this.#freeBytes += bytes
  }
}
