import { expect, it } from 'vitest'
import { healthPages } from '../src/health.ts'

/** The pages over a store that answers while `store.isThere`, by a clock that the test moves. */
function pagesOver(store: { isThere: boolean; looks: number }) {
  const clock = { now: 0 }
  const backend = {
    head: async () => {
      store.looks++
      if (!store.isThere) throw new Error('away')
      return undefined
    },
  }
  const pages = healthPages(
    backend,
    () => false,
    () => clock.now,
  )
  const ready = async (): Promise<number | undefined> =>
    (await pages['/readyz']?.(undefined as never))?.status
  return { clock, ready }
}

it('asks the store once a second, however many ask whether the server is ready', async () => {
  const store = { isThere: true, looks: 0 }
  const { clock, ready } = pagesOver(store)
  expect(await Promise.all(Array.from({ length: 50 }, ready))).toEqual(Array(50).fill(200))
  expect(store.looks).toBe(1)
  store.isThere = false
  clock.now = 999
  expect(await ready()).toBe(200)
  clock.now = 1000
  expect(await Promise.all([ready(), ready()])).toEqual([503, 503])
  store.isThere = true
  clock.now = 2000
  expect(await ready()).toBe(200)
  expect(store.looks).toBe(3)
})
