/** Calls `onStall` when it has been armed for some time without being armed again. */
export class StallTimer {
  readonly #ms: number
  readonly #onStall: (ms: number) => void
  #timer: NodeJS.Timeout | undefined
  #armedMs = 0

  /** `onStall` gets the milliseconds that have passed. */
  constructor(ms: number, onStall: (ms: number) => void) {
    this.#ms = ms
    this.#onStall = onStall
  }

  get isArmed(): boolean {
    return this.#timer !== undefined
  }

  /** Starts the time, or starts it again; `Infinity` waits until it is armed again. */
  arm(ms: number = this.#ms): void {
    if (this.#timer && ms === this.#armedMs) {
      this.#timer.refresh()
      return
    }
    this.disarm()
    this.#armedMs = ms
    if (ms !== Infinity) this.#timer = setTimeout(() => this.#onStall(ms), ms)
  }

  disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
