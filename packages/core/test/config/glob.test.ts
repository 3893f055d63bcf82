import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasWildcard, isWellFormed, matchesGlob } from '../../src/config/glob.ts'

describe('matchesGlob', () => {
  it.each([
    ['', ''],
    ['abc', 'abc'],
    ['*', 'abc'],
    ['*', ''],
    ['**', 'abc'],
    ['*c', 'abc'],
    ['a*', 'a'],
    ['a*/b', 'abc/b'],
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/f'],
    ['a*b?c*x', 'abxbbxdbxebxczzx'],
    ['*x', 'xxx'],
    ['dev/*', 'dev/app'],
    ['dev/**', 'dev/app'],
    ['ab*', 'abc'],
    ['a*c', 'abc'],
    ['a?b', 'a☺b'],
    ['a?b', 'a🐳b'],
    ['ab[c]', 'abc'],
    ['ab[b-d]', 'abc'],
    ['ab[^e-g]', 'abc'],
    ['[a-ζ]*', 'α'],
    ['[a-cx-z]', 'y'],
    ['[🐀-🐿]', '🐳'],
    [String.raw`[\]a]`, ']'],
    [String.raw`[\-x]`, '-'],
    [String.raw`[x\-]`, 'x'],
    [String.raw`a\*b`, 'a*b'],
    [String.raw`\[a\]`, '[a]'],
    ['[^a]', '/'],
    ['a]b', 'a]b'],
  ])('lets %j match %j', (pattern, name) => {
    expect(matchesGlob(pattern, name)).toBe(true)
  })

  it.each([
    ['', 'a'],
    ['abc', 'ab'],
    ['abc', 'abcd'],
    ['*', 'a/b'],
    ['**', 'a/b'],
    ['dev/*', 'dev/team/app'],
    ['dev/*', 'dev'],
    ['a*', 'ab/c'],
    ['a*/b', 'a/c/b'],
    ['a*b?c*x', 'abxbbxdbxebxczzy'],
    ['a?b', 'a/b'],
    ['?', ''],
    ['???', '🐳'],
    ['ab[e-g]', 'abc'],
    ['ab[^b-d]', 'abc'],
    ['[z-a]', 'm'],
    ['*[a-ζ]', 'A'],
    [String.raw`a\*b`, 'axb'],
    ['App', 'app'],
  ])('does not let %j match %j', (pattern, name) => {
    expect(matchesGlob(pattern, name)).toBe(false)
  })

  it.each([
    '[',
    'a[',
    '[^',
    '[^bc',
    '[]',
    '[]a]',
    '[-]',
    '[x-]',
    '[-x]',
    '[a-b-c]',
    '\\',
    'a\\',
    '[a\\',
  ])('matches nothing by the malformed %j', (pattern) => {
    expect(isWellFormed(pattern)).toBe(false)
    for (const name of ['', 'a', 'x', '-', ']', '[', pattern]) {
      expect(matchesGlob(pattern, name)).toBe(false)
    }
  })

  it('matches nothing by a pattern that is malformed past the point of failure', () => {
    expect(matchesGlob('b*[', 'abc')).toBe(false)
    expect(matchesGlob('a*c[', 'abc')).toBe(false)
  })

  it('ends for patterns that make backtracking matchers hang', () => {
    expect(matchesGlob(`${'a*'.repeat(200)}b`, 'a'.repeat(1000))).toBe(false)
    expect(matchesGlob(`${'*a'.repeat(500)}*b`, 'a'.repeat(1000))).toBe(false)
    expect(matchesGlob(`${'*?'.repeat(400)}b`, 'a'.repeat(1000))).toBe(false)
    expect(matchesGlob('*'.repeat(100_000), 'a'.repeat(1000))).toBe(true)
  })

  it('agrees with a plain matcher that tries everything', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '/'), maxLength: 7 })
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 7 })
    fc.assert(
      fc.property(pattern, name, (pattern, name) => {
        expect(matchesGlob(pattern, name)).toBe(exhaustiveMatch(pattern, name))
      }),
      { numRuns: 1000 },
    )
  })

  it('matches every well-formed text by itself, escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const pattern = name.replace(/[*?[\\]/g, String.raw`\$&`)
        expect(matchesGlob(pattern, name)).toBe(true)
      }),
    )
  })
})

function exhaustiveMatch(pattern: string, name: string): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return name === ''
  if (first === '*') {
    return (
      exhaustiveMatch(rest.join(''), name) ||
      (name !== '' && !name.startsWith('/') && exhaustiveMatch(pattern, name.slice(1)))
    )
  }
  const fits = first === '?' ? name !== '' && !name.startsWith('/') : name.startsWith(first)
  return fits && exhaustiveMatch(rest.join(''), name.slice(1))
}

describe('hasWildcard', () => {
  it.each(['*', 'a?', '[ab]', 'x['])('is true for %j', (text) =>
    expect(hasWildcard(text)).toBe(true),
  )
  it.each(['', 'a/b', 'a]', 'a\\b'])('is false for %j', (text) =>
    expect(hasWildcard(text)).toBe(false),
  )
})
