import { setImmediate } from 'node:timers/promises'

/** Synchronous calls in a row: a millisecond or two, in which nothing else of the process runs. */
const CALLS = 256

/**
 * Divides work by synchronous calls into slices. Synchronous calls of the file system cost a tenth
 * of the asynchronous ones; between two slices, signals and other transfers have their turn.
 */
export class Slice {
  readonly #signal: AbortSignal | undefined
  #calls = 0

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** Counts calls, and ends the slice once there were enough. Throws the signal's reason then. */
  spend(calls: number): Promise<void> | undefined {
    this.#calls += calls
    return this.#calls < CALLS ? undefined : this.#turn()
  }

  async #turn(): Promise<void> {
    this.#calls = 0
    await setImmediate()
    this.#signal?.throwIfAborted()
  }
}
