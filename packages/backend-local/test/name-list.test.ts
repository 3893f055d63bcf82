import { describe, expect, it } from 'vitest'
import { compareKeys } from '../src/key-path.ts'
import { NameList } from '../src/name-list.ts'

function sorted(names: readonly string[]): readonly string[] {
  const list = new NameList()
  for (const name of names) list.add(name)
  return [...list.sorted()]
}

describe('a list of names', () => {
  it('is in the order of UTF-8 bytes', () => {
    const names = [
      'b',
      'a/',
      'a',
      'a.',
      'a0',
      'abcdefg',
      'abcdef',
      'abcdeg',
      'abcdefga',
      'é',
      '\u{1f600}',
      '\uffee',
    ]
    expect(sorted(names)).toEqual(names.toSorted(compareKeys))
    expect(sorted([])).toEqual([])
  })

  it('orders names alike whose first bytes are equal or few', () => {
    let state = 1
    const next = (limit: number): number => {
      state = (state * 48_271) % 2_147_483_647
      return state % limit
    }
    const letters = ['a', 'b', 'é', '\u{10348}', '~', '!']
    const names = Array.from({ length: 5000 }, () =>
      Array.from({ length: 1 + next(9) }, () => letters[next(letters.length)]).join(''),
    )
    expect(sorted(names)).toEqual(names.toSorted(compareKeys))
  })

  it('holds more than fit in one chunk, and the longest names', () => {
    const names = Array.from({ length: 6000 }, (_, i) => `${'x'.repeat(250)}${i}`)
    expect(sorted(names)).toEqual(names.toSorted(compareKeys))
    expect(sorted(['é'.repeat(255)])).toEqual(['é'.repeat(255)])
  })
})
