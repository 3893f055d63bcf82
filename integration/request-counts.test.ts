import { expect, it } from 'vitest'
import { countRequests } from './bench-requests.ts'

it('a push, a move, a look by digest, a delete and a restore ask the store no more often than they have to', async () => {
  const counts = await countRequests()
  expect(counts.map(({ name, value }) => [name, value])).toEqual(
    counts.map(({ name, bar }) => [name, bar]),
  )
})
