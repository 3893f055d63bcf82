/** Lets callers who want the same thing at the same time share one attempt at it. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()

  /**
   * Joins the attempt that is under way for `key`, or begins one. A caller that aborts leaves with
   * its signal's reason; the attempt is aborted when the last one has left.
   */
  async run(
    key: string,
    signal: AbortSignal | undefined,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    const flight = this.#flights.get(key) ?? this.#begin(key, begin)
    flight.passengers += 1
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        reject(signal?.reason)
        flight.passengers -= 1
        if (flight.passengers > 0) return
        this.#forget(key, flight)
        flight.controller.abort(signal?.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      const arrive = (): void => signal?.removeEventListener('abort', leave)
      flight.result.then(resolve, reject).finally(arrive)
    })
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const flight: Flight<T> = { controller, result: begin(controller.signal), passengers: 0 }
    const end = (): void => this.#forget(key, flight)
    flight.result.then(end, end)
    this.#flights.set(key, flight)
    return flight
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}

interface Flight<T> {
  readonly controller: AbortController
  readonly result: Promise<T>
  passengers: number
}
