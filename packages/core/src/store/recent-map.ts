/** A map that forgets what was not used for the longest time once all of it weighs too much. */
export class RecentMap<K, V> {
  readonly #most: number
  readonly #weigh: (value: V) => number
  /** The last entry is the one that was used last. */
  readonly #entries = new Map<K, V>()
  #weight = 0

  /** `weigh` gives the same for a value at any time. Default: the number of entries is what counts. */
  constructor(most: number, weigh: (value: V) => number = () => 1) {
    this.#most = most
    this.#weigh = weigh
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: K, value: V): void {
    this.delete(key)
    this.#entries.set(key, value)
    this.#weight += this.#weigh(value)
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#most) break
      this.delete(oldest)
    }
  }

  /** The keys, the one that was used last before the others. */
  recent(): readonly K[] {
    return [...this.#entries.keys()].toReversed()
  }

  delete(key: K): void {
    const value = this.#entries.get(key)
    if (value === undefined) return
    this.#entries.delete(key)
    this.#weight -= this.#weigh(value)
  }
}
