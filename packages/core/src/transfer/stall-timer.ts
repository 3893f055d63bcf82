/** What a timer of Node can hold. */
const LONGEST_MS = 2 ** 31 - 1

/** Calls `onStall` when it has been armed for `ms` without being armed again. */
export class StallTimer {
  readonly #ms: number
  readonly #onStall: () => void
  #timer: NodeJS.Timeout | undefined
  #allowedMs = 0

  constructor(ms: number, onStall: () => void) {
    this.#ms = ms
    this.#onStall = onStall
  }

  /** Starts the time, or starts it again; longer by `allowedMs` for this once. */
  arm(allowedMs = 0): void {
    if (this.#timer && allowedMs === this.#allowedMs) {
      this.#timer.refresh()
      return
    }
    clearTimeout(this.#timer)
    this.#allowedMs = allowedMs
    this.#timer = setTimeout(this.#onStall, Math.min(this.#ms + allowedMs, LONGEST_MS))
  }

  disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
