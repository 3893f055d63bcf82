import { FAULT_KINDS } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { type Spoiling, spoilingsOf } from '../src/spoilings.ts'

const kinds = FAULT_KINDS.slice(0, 7)
const distinct = (of: readonly Spoiling[], pick: (spoiling: Spoiling) => unknown): number =>
  new Set(of.map((spoiling) => JSON.stringify(pick(spoiling)))).size

describe('the runs of a matrix', () => {
  it('as a product are every kind at every request, alone and lasting', () => {
    const runs = spoilingsOf('product', kinds, 5)
    expect(runs).toHaveLength(2 * 7 * 5)
    expect(distinct(runs, (run) => run)).toBe(2 * 7 * 5)
  })

  it.each([1, 2, 7, 8, 14, 23])(
    'in rotation break each of %i requests and use each kind, alone and lasting',
    (requests) => {
      const runs = spoilingsOf('rotation', kinds, requests)
      expect(distinct(runs, ({ nth, isLasting }) => [nth, isLasting])).toBe(2 * requests)
      expect(distinct(runs, ({ kind, isLasting }) => [kind, isLasting])).toBe(2 * kinds.length)
      expect(Math.max(...runs.map(({ nth }) => nth))).toBe(requests)
      expect(runs.length).toBeLessThan(2 * (requests + kinds.length))
    },
  )

  it('in rotation are the product where there is one kind', () => {
    expect(spoilingsOf('rotation', ['503'], 3)).toEqual(spoilingsOf('product', ['503'], 3))
  })

  it.each(['rotation', 'product'] as const)('are none without a request, as a %s', (extent) => {
    expect(spoilingsOf(extent, kinds, 0)).toEqual([])
  })
})
