import { describe, expect, it } from 'vitest'
import { type Combination, combinationsOf, pairwise } from './pairwise.ts'

const SWITCHES = { a: [false, true], b: [false, true], c: [false, true] }

describe('combinations of values', () => {
  it('are all there, in the order of the values', () => {
    expect(combinationsOf({ store: ['x', 'y'], replicas: [1, 3] })).toEqual([
      { store: 'x', replicas: 1 },
      { store: 'x', replicas: 3 },
      { store: 'y', replicas: 1 },
      { store: 'y', replicas: 3 },
    ])
  })
})

describe('a pairwise choice', () => {
  it.each<[string, readonly Combination[], number]>([
    ['three switches', combinationsOf(SWITCHES), 4],
    ['a value of three and three switches', combinationsOf({ ...SWITCHES, s: [1, 2, 3] }), 6],
    ['a value of four and three switches', combinationsOf({ ...SWITCHES, s: [1, 2, 3, 4] }), 8],
    ['two parameters', combinationsOf({ a: [1, 2], b: [1, 2, 3] }), 6],
    ['nothing', [], 0],
  ])('of %s has every pair, in as few as there can be', (_, all, size) => {
    const chosen = pairwise(all)
    expect(chosen).toHaveLength(size)
    expect(pairs(chosen)).toEqual(pairs(all))
    expect(all).toEqual(expect.arrayContaining([...chosen]))
  })

  it('has no combination that is not given, and no pair that only such a one has', () => {
    const all = combinationsOf({ ...SWITCHES, s: [1, 2, 3] }).filter(({ s, a }) => s !== 1 || !a)
    const chosen = pairwise(all)
    expect(chosen).toHaveLength(6)
    expect(pairs(chosen)).toEqual(pairs(all))
    expect(chosen.filter(({ s, a }) => s === 1 && a)).toEqual([])
  })
})

/** Every pair of facts, once, in an order of its own. */
function pairs(combinations: readonly Combination[]): readonly string[] {
  const found = combinations.flatMap((combination) => {
    const facts = Object.entries(combination)
      .map(([name, value]) => `${name}=${String(value)}`)
      .toSorted()
    return facts.flatMap((one) => facts.filter((two) => one < two).map((two) => `${one} ${two}`))
  })
  return [...new Set(found)].toSorted()
}
