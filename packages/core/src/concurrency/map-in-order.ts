/**
 * What `task` makes of the items, in their order, with at most `ahead` tasks under way or waiting to
 * be taken; no more items are asked for. The first failure, in order, is thrown; ending early aborts
 * the tasks' signal, and all of them have ended when the generator has. Items that come with time are
 * asked to end then; one that is still awaited is not waited for.
 */
export async function* mapInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  task: (item: T, signal: AbortSignal) => Promise<R>,
  outer?: AbortSignal,
): AsyncGenerator<R> {
  const stop = new AbortController()
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal
  const iterator =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const tasks = new Set<Promise<R>>()
  const running: Promise<Outcome<R>>[] = []
  const run = async (item: T): Promise<Outcome<R>> => {
    signal.throwIfAborted()
    const result = task(item, signal)
    tasks.add(result)
    try {
      return { value: await result }
    } finally {
      tasks.delete(result)
    }
  }
  const start = (): void => {
    const next = iterator.next()
    const outcome =
      next instanceof Promise
        ? next.then((found) => (found.done ? undefined : run(found.value)))
        : next.done
          ? undefined
          : run(next.value)
    if (outcome === undefined) return
    // A failure is thrown in its turn; it must not count as unhandled until then.
    outcome.catch(() => undefined)
    running.push(outcome)
  }
  signal.throwIfAborted()
  try {
    for (let i = 0; i < ahead; i++) start()
    for (let result = running.shift(); result; result = running.shift()) {
      const outcome = await result
      signal.throwIfAborted()
      if (outcome === undefined) return
      start()
      yield outcome.value
    }
  } finally {
    stop.abort()
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
    await Promise.allSettled(tasks)
  }
}

/** `undefined` after the last item. */
type Outcome<R> = { readonly value: R } | undefined
