/**
 * What `task` makes of the items, in their order, with at most `ahead` tasks under way or waiting to
 * be taken. The first failure, in order, is thrown; ending early aborts the tasks' signal, and all
 * of them have ended when the generator has.
 */
export async function* mapInOrder<T, R>(
  items: Iterable<T>,
  ahead: number,
  task: (item: T, signal: AbortSignal) => Promise<R>,
  outer?: AbortSignal,
): AsyncGenerator<R> {
  const stop = new AbortController()
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal
  const iterator = items[Symbol.iterator]()
  const running: Promise<R>[] = []
  const start = (): void => {
    const next = iterator.next()
    if (next.done) return
    const result = task(next.value, signal)
    // A failure is thrown in its turn; it must not count as unhandled until then.
    result.catch(() => undefined)
    running.push(result)
  }
  signal.throwIfAborted()
  try {
    for (let i = 0; i < ahead; i++) start()
    for (let result = running.shift(); result; result = running.shift()) {
      const value = await result
      signal.throwIfAborted()
      start()
      yield value
    }
  } finally {
    stop.abort()
    await Promise.allSettled(running)
  }
}
