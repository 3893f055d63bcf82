/** Calls `onStall` when it has been armed for `ms` without being armed again. */
export class StallTimer {
  readonly #ms: number
  readonly #onStall: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number, onStall: () => void) {
    this.#ms = ms
    this.#onStall = onStall
  }

  /** Starts the time, or starts it again. */
  arm(): void {
    if (this.#timer) this.#timer.refresh()
    else this.#timer = setTimeout(this.#onStall, this.#ms)
  }

  disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
