import {
  array,
  assert,
  constant,
  constantFrom,
  option,
  property,
  record,
  shuffledSubarray,
  string,
  tuple,
  uniqueArray,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inOrder } from '../../src/operations/event-order.ts'
import type { TagEvent } from '../../src/store/tag-events.ts'

const TIMES = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z']

/** What a tag named, one after the other. */
function eventsOf(named: readonly string[]): TagEvent[] {
  return named.slice(1).map((became, i) => ({
    tag: 'v1',
    was: named[i],
    became,
    at: TIMES[0] ?? '',
    reason: 'moved',
  }))
}

describe('events of one time', () => {
  it('are in the order in which they continue each other, listed in any', () => {
    const names = uniqueArray(string(), { minLength: 2, maxLength: 8 })
    const listed = names.chain((named) =>
      tuple(constant(named), shuffledSubarray(eventsOf(named), { minLength: named.length - 1 })),
    )
    assert(
      property(listed, ([named, events]) => {
        expect(inOrder(events)).toEqual(eventsOf(named))
      }),
    )
  })

  it('begin with what the event before them led to, and come back before they leave', () => {
    const [first, ...later] = eventsOf(['x', 'a', 'b', 'a', 'c']).map((event, i) => ({
      ...event,
      at: TIMES[i === 0 ? 0 : 1] ?? '',
    }))
    const shuffled = shuffledSubarray(later, { minLength: later.length })
    assert(
      property(shuffled, (events) => {
        expect(inOrder([first!, ...events])).toEqual([first, ...later])
      }),
    )
  })

  it('are all there, however they fit, and each tag has its own', () => {
    const name = option(constantFrom('a', 'b', 'c'), { nil: undefined })
    const event = record({
      tag: constantFrom('v1', 'v2'),
      was: name,
      became: name,
      at: constantFrom(...TIMES),
      reason: constant('moved' as const),
    })
    assert(
      property(array(event), (events) => {
        const listed = events.toSorted((a, b) => (a.tag + a.at < b.tag + b.at ? -1 : 1))
        const ordered = inOrder(listed)
        expect(ordered.map(({ tag, at }) => tag + at)).toEqual(
          listed.map(({ tag, at }) => tag + at),
        )
        expect(new Set(ordered)).toEqual(new Set(listed))
        expect(ordered).toHaveLength(listed.length)
      }),
    )
  })
})
