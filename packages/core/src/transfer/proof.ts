import { untilAborted } from './until-aborted.ts'

/** A search whose outcome all callers share; one that failed or was aborted is begun anew. */
export class Proof<T> {
  readonly #search: (signal: AbortSignal | undefined) => Promise<T>
  #current: { readonly outcome: Promise<T>; readonly signal: AbortSignal | undefined } | undefined

  constructor(search: (signal: AbortSignal | undefined) => Promise<T>) {
    this.#search = search
  }

  async outcome(signal: AbortSignal | undefined): Promise<T> {
    const known = this.#current
    const current = known ?? { outcome: this.#search(signal), signal }
    this.#current = current
    try {
      // The call that began it waits until it is cleaned up, also when its signal aborts.
      return await (known ? untilAborted(known.outcome, signal) : current.outcome)
    } catch (error) {
      signal?.throwIfAborted()
      if (this.#current === current) this.#current = undefined
      // The call that began it was aborted, which is no answer for the others that wait.
      if (known?.signal?.aborted) return this.outcome(signal)
      throw error
    }
  }
}
