import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ByteBudget } from '../../src/concurrency/byte-budget.ts'
import { readAhead } from '../../src/concurrency/read-ahead.ts'

const ITEMS = [1, 2, 3, 4, 5, 6, 7]

/** Reads items that take ten bytes each, the later ones faster. */
class Reading {
  now = 0
  most = 0
  readonly #budget: ByteBudget

  constructor(budget: ByteBudget) {
    this.#budget = budget
  }

  read(most = ITEMS.length, fails?: number, signal?: AbortSignal): AsyncGenerator<number, void> {
    const options = { budget: this.#budget, bytesOf: () => 10, most, signal }
    return readAhead(ITEMS, options, async (item, inner) => {
      this.most = Math.max(this.most, (this.now += 1))
      for (let i = 10 - item; i > 0 && !inner.aborted; i--) await setImmediate()
      this.now -= 1
      if (item === fails) throw new Error('no')
      return item
    })
  }
}

it.each([
  ['its number', 1000, 3, 3],
  ['the budget', 45, 7, 4],
  ['one that is always read', 0, 7, 1],
])('items are read in order, as many at once as %s allows', async (_, bytes, most, expected) => {
  const reading = new Reading(new ByteBudget(bytes))
  expect(await Array.fromAsync(reading.read(most))).toEqual(ITEMS)
  expect(reading.most).toBe(expected)
})

it('readers share a budget, and none waits for another that is not read on', async () => {
  const budget = new ByteBudget(30)
  const stalled = new Reading(budget).read()
  await stalled.next()
  expect(budget.tryTake(1)).toBe(false)
  const reading = new Reading(budget)
  expect(await Array.fromAsync(reading.read())).toEqual(ITEMS)
  expect(reading.most).toBe(1)
  await stalled.return()
  expect(budget.tryTake(30)).toBe(true)
})

it('the first failure, in order, is thrown when all have ended, and memory is given back', async () => {
  const budget = new ByteBudget(40)
  const reading = new Reading(budget)
  const results: number[] = []
  const all = async (): Promise<void> => {
    for await (const result of reading.read(4, 3)) results.push(result)
  }
  await expect(all()).rejects.toThrow('no')
  expect([results, reading.now]).toEqual([[1, 2], 0])
  expect(budget.tryTake(40)).toBe(true)
})

it('an aborted reader throws the reason, and begins nothing more', async () => {
  const budget = new ByteBudget(20)
  const stop = new AbortController()
  const items = new Reading(budget).read(2, undefined, stop.signal)
  await items.next()
  const reason = new Error('enough')
  stop.abort(reason)
  await expect(items.next()).rejects.toBe(reason)
  expect(budget.tryTake(20)).toBe(true)
})
