/**
 * Memory that several transfers share. Some ask and take less where it is not free (`tryTake`), some
 * wait for it (`use`), in the order of asking. What is taken regardless (`take`) may exceed it.
 */
export class ByteBudget {
  readonly #total: number
  readonly #waiting: (() => boolean)[] = []
  #free: number

  constructor(bytes: number) {
    this.#total = bytes
    this.#free = bytes
  }

  /** True while less than half of it is free. */
  get isScarce(): boolean {
    return 2 * this.#free < this.#total
  }

  /** True when `bytes` are free. */
  has(bytes: number): boolean {
    return this.#free >= bytes
  }

  /** Reserves `bytes`; `false` when so many are not free. */
  tryTake(bytes: number): boolean {
    if (!this.has(bytes)) return false
    this.#free -= bytes
    return true
  }

  /** Reserves `bytes` whether they are free or not: for the one part that a transfer always has. */
  take(bytes: number): void {
    this.#free -= bytes
  }

  giveBack(bytes: number): void {
    this.#free += bytes
    while (this.#waiting[0]?.()) this.#waiting.shift()
  }

  /**
   * Runs `use` while `bytes` of the budget are reserved; more than all of it counts as all. A transfer
   * must call this once only, for all it needs, so that none waits for another forever.
   */
  async use<T>(bytes: number, signal: AbortSignal | undefined, use: () => Promise<T>): Promise<T> {
    const taken = Math.min(bytes, this.#total)
    await this.#wait(taken, signal)
    try {
      return await use()
    } finally {
      this.giveBack(taken)
    }
  }

  async #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const stop = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(start), 1)
      reject(signal?.reason)
      // The next one may need less.
      this.giveBack(0)
    }
    const start = (): boolean => {
      if (!this.tryTake(bytes)) return false
      signal?.removeEventListener('abort', stop)
      resolve()
      return true
    }
    signal?.addEventListener('abort', stop, { once: true })
    this.#waiting.push(start)
    this.giveBack(0)
    return promise
  }
}

/** What one holder has of a budget, whether it is free or not; it may exceed the budget. */
export class BudgetShare {
  readonly #budget: ByteBudget
  #bytes = 0

  constructor(budget: ByteBudget, bytes = 0) {
    this.#budget = budget
    this.grow(bytes)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Reserves what is missing to `bytes`. */
  grow(bytes: number): void {
    this.#budget.take(bytes - this.#bytes)
    this.#bytes = bytes
  }

  /** Gives back all; nothing where that was done before. */
  giveBack(): void {
    const bytes = this.#bytes
    this.#bytes = 0
    this.#budget.giveBack(bytes)
  }
}
