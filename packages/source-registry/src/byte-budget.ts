/**
 * Memory that several transfers share. A caller waits until so much is free, in the order of
 * asking; a transfer must ask once only, for all it needs, so that none waits for another forever.
 */
export class ByteBudget {
  readonly #total: number
  readonly #waiting: (() => boolean)[] = []
  #free: number

  constructor(bytes: number) {
    this.#total = bytes
    this.#free = bytes
  }

  /** Runs `use` while `bytes` of the budget are reserved; more than all of it counts as all. */
  async use<T>(bytes: number, signal: AbortSignal | undefined, use: () => Promise<T>): Promise<T> {
    const taken = Math.min(bytes, this.#total)
    await this.#take(taken, signal)
    try {
      return await use()
    } finally {
      this.#free += taken
      this.#serve()
    }
  }

  async #take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const stop = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(tryTake), 1)
      reject(signal?.reason)
      // The next one may need less.
      this.#serve()
    }
    const tryTake = (): boolean => {
      if (bytes > this.#free) return false
      this.#free -= bytes
      signal?.removeEventListener('abort', stop)
      resolve()
      return true
    }
    signal?.addEventListener('abort', stop, { once: true })
    this.#waiting.push(tryTake)
    this.#serve()
    return promise
  }

  #serve(): void {
    while (this.#waiting[0]?.()) this.#waiting.shift()
  }
}
