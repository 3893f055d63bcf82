import type { CallOptions } from '../contract/call-options.ts'
import { byUtf8 } from '../layout/key-order.ts'

/** Which names of a list are wanted; names are in the order of their UTF-8 bytes. */
export interface WindowOptions extends CallOptions {
  /** Only names after this one: the last name of the window before. */
  readonly after?: string | undefined
  /** At most so many names, the first ones; default: all. */
  readonly limit?: number | undefined
}

/**
 * The first names after a name, each with what is known of it, taken from a list in key order. That is
 * nearly the order of names: a name is followed by `/` in a key, so `v1-rc` and `v1.0` come before
 * `v1`, and what is in `app/web` may come before what is in `app`.
 */
export class NameWindow<V> {
  readonly #after: string
  readonly #limit: number
  #found = new Map<string, V>()
  /** Names after this one are not of the window. */
  #last: string | undefined

  constructor({ after = '', limit = Infinity }: Pick<WindowOptions, 'after' | 'limit'> = {}) {
    this.#after = after
    this.#limit = limit
  }

  /** In the order of names. */
  get entries(): Iterable<readonly [name: string, value: V]> {
    this.#cut()
    return this.#found
  }

  /** What is known of a name, made when it is met first; `undefined` for a name that is not of the window. */
  enter(name: string, make: () => V): V | undefined {
    if (!this.#takes(name)) return undefined
    const known = this.#found.get(name)
    if (known !== undefined) return known
    const value = make()
    this.#found.set(name, value)
    if (this.#found.size >= 2 * this.#limit) this.#cut()
    return value
  }

  has(name: string): boolean {
    return this.#found.has(name)
  }

  /**
   * The names that may still come into the window once the list in key order has come to `name`:
   * those that it begins with. `undefined` while any name may.
   */
  awaited(name: string): readonly string[] | undefined {
    if (this.#last === undefined && this.#found.size >= this.#limit) this.#cut()
    if (this.#last === undefined || byUtf8(name, this.#last) <= 0) return undefined
    const beginnings: string[] = []
    for (let i = 1; i < name.length; i++) {
      const beginning = name.slice(0, i)
      if ((name[i] ?? '') <= '/' && this.#takes(beginning)) beginnings.push(beginning)
    }
    return beginnings
  }

  #takes(name: string): boolean {
    if (name === '' || (this.#after !== '' && byUtf8(name, this.#after) <= 0)) return false
    return this.#last === undefined || byUtf8(name, this.#last) <= 0
  }

  /** Sorts the names, and leaves what is beyond the window. */
  #cut(): void {
    const sorted = [...this.#found].toSorted(([a], [b]) => byUtf8(a, b))
    const kept = sorted.slice(0, this.#limit)
    this.#found = new Map(kept)
    if (kept.length === this.#limit) this.#last = kept.at(-1)?.[0]
  }
}
