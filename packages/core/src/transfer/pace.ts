/**
 * Counts the bytes of a body: so many of them are progress, fewer are as good as silence. A service
 * that gives a byte now and then would keep its client waiting for ever.
 */
export class Pace {
  readonly #least: number
  #bytes = 0

  constructor(least: number) {
    this.#least = least
  }

  /** True when enough has come since this was last true, or since the start. */
  count(bytes: number): boolean {
    this.#bytes += bytes
    if (this.#bytes < this.#least) return false
    this.#bytes = 0
    return true
  }

  restart(): void {
    this.#bytes = 0
  }
}
