import { expect, it } from 'vitest'
import { ByteBudget } from '../../src/concurrency/byte-budget.ts'

/** Something that a budget is used for until it is ended. */
function job(budget: ByteBudget, bytes: number, signal?: AbortSignal) {
  const end = Promise.withResolvers<void>()
  const state = { isRunning: false, end: end.resolve, done: Promise.resolve() }
  state.done = budget.use(bytes, signal, async () => {
    state.isRunning = true
    await end.promise
  })
  return state
}

/** Lets everything that can run do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('lets no more run at once than there is memory for, first come first served', async () => {
  const budget = new ByteBudget(10)
  const jobs = [job(budget, 6), job(budget, 6), job(budget, 3)]
  await settle()
  expect(jobs.map(({ isRunning }) => isRunning)).toEqual([true, false, false])
  jobs[0]?.end()
  await settle()
  expect(jobs.map(({ isRunning }) => isRunning)).toEqual([true, true, true])
})

it('gives all of it to a use that wants more than there is', async () => {
  const budget = new ByteBudget(10)
  const large = job(budget, 1000)
  large.end()
  await large.done
  expect(large.isRunning).toBe(true)
})

it('takes back what a failed use held', async () => {
  const budget = new ByteBudget(10)
  const failed = budget.use(10, undefined, () => Promise.reject(new Error('no')))
  await expect(failed).rejects.toThrow('no')
  const next = job(budget, 10)
  await settle()
  expect(next.isRunning).toBe(true)
})

it('lets the next one run when the one that waits before it is aborted', async () => {
  const budget = new ByteBudget(10)
  const running = job(budget, 6)
  const controller = new AbortController()
  const waiting = job(budget, 6, controller.signal)
  const small = job(budget, 3)
  controller.abort(new Error('enough'))
  await expect(waiting.done).rejects.toThrow('enough')
  await settle()
  expect([running.isRunning, small.isRunning]).toEqual([true, true])
})
