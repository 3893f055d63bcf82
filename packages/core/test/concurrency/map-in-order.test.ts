import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { mapInOrder } from '../../src/concurrency/map-in-order.ts'

async function* later<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await setImmediate()
    yield item
  }
}

describe.each([
  ['that are there', (items: readonly number[]) => items],
  ['that come with time', (items: readonly number[]) => later(items)],
])('items %s', (_, given) => {
  it('give their results in order, so many at once', async () => {
    let [now, most] = [0, 0]
    const task = async (item: number): Promise<number> => {
      most = Math.max(most, (now += 1))
      for (let i = 10 - item; i > 0; i--) await setImmediate()
      now -= 1
      return item * 2
    }
    const results = await Array.fromAsync(mapInOrder(given([1, 2, 3, 4, 5, 6, 7]), 3, task))
    expect([results, most]).toEqual([[2, 4, 6, 8, 10, 12, 14], 3])
    expect(await Array.fromAsync(mapInOrder(given([]), 3, task))).toEqual([])
  })

  it('end with the first failure, when all tasks have ended', async () => {
    let open = 0
    const task = async (item: number, signal: AbortSignal): Promise<number> => {
      if (item === 2) throw new Error('no')
      open += 1
      if (item > 2) await new Promise((resolve) => signal.addEventListener('abort', resolve))
      open -= 1
      return item
    }
    const results: number[] = []
    const reading = async (): Promise<void> => {
      for await (const result of mapInOrder(given([1, 2, 3, 4]), 4, task)) results.push(result)
    }
    await expect(reading()).rejects.toThrow('no')
    expect([results, open]).toEqual([[1], 0])
  })
})

it('a source that ends in the middle is ended, one that fails fails in its turn', async () => {
  let hasEnded = false
  async function* source(): AsyncGenerator<number> {
    try {
      yield 1
      yield 2
      throw new Error('gone')
    } finally {
      hasEnded = true
    }
  }
  for await (const result of mapInOrder(source(), 1, async (item) => item)) {
    expect(result).toBe(1)
    break
  }
  await setImmediate()
  expect(hasEnded).toBe(true)
  const results: number[] = []
  const reading = async (): Promise<void> => {
    for await (const item of mapInOrder(source(), 2, async (each) => each)) results.push(item)
  }
  await expect(reading()).rejects.toThrow('gone')
  expect(results).toEqual([1, 2])
})
