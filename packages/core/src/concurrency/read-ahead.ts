import type { ByteBudget } from './byte-budget.ts'

/** How far ahead is read. */
export interface ReadAheadOptions<T> {
  /** Memory that other readers share. */
  readonly budget: ByteBudget
  /** What an item takes of it until the one after it is asked for. */
  readonly bytesOf: (item: T) => number
  /** Items that are under way or wait to be taken, at most. */
  readonly most: number
  readonly signal?: AbortSignal | undefined
}

interface Pending<R> {
  readonly bytes: number
  readonly result: Promise<R>
}

/**
 * What `task` makes of the items, in their order, as many at once as the budget has memory for; one
 * there is always, so that no reader waits for another. The first failure, in order, is thrown; ending
 * early aborts the tasks' signal, and all of them have ended when the generator has.
 */
export async function* readAhead<T, R>(
  items: readonly T[],
  { budget, bytesOf, most, signal: outer }: ReadAheadOptions<T>,
  task: (item: T, signal: AbortSignal) => Promise<R>,
): AsyncGenerator<R, void> {
  const stop = new AbortController()
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal
  const pending: Pending<R>[] = []
  let begun = 0
  const fill = (): void => {
    for (const item of items.slice(begun, begun + most - pending.length)) {
      const bytes = bytesOf(item)
      if (pending.length === 0) budget.take(bytes)
      else if (!budget.tryTake(bytes)) return
      begun += 1
      const result = task(item, signal)
      // A failure is thrown in its turn; it must not count as unhandled until then.
      result.catch(() => undefined)
      pending.push({ bytes, result })
    }
  }
  try {
    for (fill(); pending[0]; fill()) {
      const { bytes, result } = pending[0]
      signal.throwIfAborted()
      yield await result
      pending.shift()
      budget.giveBack(bytes)
    }
  } finally {
    stop.abort()
    await Promise.allSettled(pending.map(({ result }) => result))
    for (const { bytes } of pending) budget.giveBack(bytes)
  }
}
