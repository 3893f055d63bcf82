import { setImmediate } from 'node:timers/promises'
import { SingleFlight } from './single-flight.ts'

/** The attempts for one key, one after the other. */
interface Line {
  /** How many have begun. */
  begun: number
  /** Settles when the last one that has begun is over. */
  last: Promise<unknown>
  callers: number
}

/**
 * As {@link SingleFlight}, for what other clients change: a caller never gets what was looked up before
 * it asked. All that ask in one turn of the event loop share an attempt, and all that ask
 * while one is under way share the next.
 */
export class FreshFlight<T> {
  readonly #flights = new SingleFlight<T>()
  readonly #lines = new Map<string, Line>()

  /** A caller that aborts leaves with its signal's reason; the attempt is aborted when the last one has left. */
  async run(
    key: string,
    signal: AbortSignal | undefined,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const line = this.#lines.get(key) ?? { begun: 0, last: Promise.resolve(), callers: 0 }
    this.#lines.set(key, line)
    line.callers += 1
    try {
      return await this.#flights.run(`${line.begun} ${key}`, signal, (shared) =>
        inTurn(line, shared, begin),
      )
    } finally {
      line.callers -= 1
      if (line.callers === 0) this.#lines.delete(key)
    }
  }
}

async function inTurn<T>(
  line: Line,
  signal: AbortSignal,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await line.last
  await setImmediate()
  signal.throwIfAborted()
  // From here on, who asks waits for the next one.
  line.begun += 1
  const result = begin(signal)
  line.last = result.catch(() => {})
  return result
}
