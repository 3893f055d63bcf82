/**
 * Runs `task` for every item, at most `limit` at once. The first failure aborts the signal that
 * the others got, and is thrown once all of them have ended: nothing is left running.
 */
export async function forEachConcurrent<T>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  task: (item: T, signal: AbortSignal) => Promise<void>,
  outer?: AbortSignal,
): Promise<void> {
  const failure = new AbortController()
  const signal = outer ? AbortSignal.any([outer, failure.signal]) : failure.signal
  const iterator =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  async function work(): Promise<void> {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      signal.throwIfAborted()
      await task(next.value, signal)
    }
  }
  const workers = Array.from({ length: limit }, () =>
    work().catch((error: unknown) => failure.abort(error)),
  )
  await Promise.all(workers)
  await iterator.return?.()
  failure.signal.throwIfAborted()
}
