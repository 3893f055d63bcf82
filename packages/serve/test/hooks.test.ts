import { once } from 'node:events'
import { expect, it } from 'vitest'
import { serveMemory } from './support/served-store.ts'

it('what addressOf throws is a failure of that request', async () => {
  const failures: unknown[] = []
  await using served = await serveMemory({
    addressOf() {
      throw new Error('no address')
    },
    observe: ({ error }) => failures.push(error),
  })
  expect((await served.ask('/v2/')).status).toBe(500)
  expect(failures).toEqual([new Error('no address')])
})

it('what an observer throws is a warning of the process, after the answer', async () => {
  const warned = once(process, 'warning')
  await using served = await serveMemory({
    observe() {
      throw new Error('the observer fails')
    },
  })
  expect((await served.ask('/v2/')).status).toBe(200)
  expect((await served.ask('/v2/')).status).toBe(200)
  expect(await warned).toEqual([new Error('the observer fails')])
})
