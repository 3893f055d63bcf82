/**
 * Memory for the parts that are under way at once in all transfers of a backend together, beside
 * the one part that every transfer may always have: so none waits for another, and the sum is
 * bounded.
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

  giveBack(bytes: number): void {
    this.#freeBytes += bytes
  }
}
