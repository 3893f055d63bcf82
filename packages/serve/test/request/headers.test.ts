import { describe, expect, it } from 'vitest'
import { parseContentRange } from '../../src/request/content-range.ts'
import { matchesEtag } from '../../src/request/etag.ts'
import { nextLink, parsePage } from '../../src/request/page.ts'
import { isRangeOfStores, parseRange } from '../../src/request/range.ts'
import { warning } from '../../src/answer/headers.ts'

describe('parseRange', () => {
  it.each([
    ['bytes=500-1499', { start: 500, end: 1500 }],
    ['bytes=500-', { start: 500, end: 2048 }],
    ['bytes=-500', { start: 1548, end: 2048 }],
    ['bytes=-5000', { start: 0, end: 2048 }],
    ['bytes=2000-5000', { start: 2000, end: 2048 }],
    ['bytes= 0 - 0', { start: 0, end: 1 }],
    ['bytes=500-0', 'unsatisfiable'],
    ['bytes=5000-10000', 'unsatisfiable'],
    ['bytes=2048-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=0-1,5-6', undefined],
    ['items=0-1', undefined],
    ['bytes=-', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('takes %s', (header, range) => {
    expect(parseRange(header, 2048)).toEqual(range)
  })

  it('has nothing of an empty blob', () => {
    expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable')
    expect(parseRange('bytes=-1', 0)).toBe('unsatisfiable')
  })
})

describe('isRangeOfStores', () => {
  it.each([
    [undefined, true],
    ['bytes=0-0', true],
    ['bytes=500-1499', true],
    ['bytes=500-', true],
    ['bytes=-500', false],
    ['bytes=-', false],
    ['bytes=0-1,5-6', false],
    ['bytes= 0 - 0', false],
    ['items=0-1', false],
    ['BYTES=0-1', false],
    [`bytes=${'9'.repeat(16)}-`, false],
    ['', false],
  ])('of %s is %s', (header, isAlike) => {
    expect(isRangeOfStores(header)).toBe(isAlike)
  })
})

describe('parseContentRange', () => {
  it.each([
    ['0-99', { first: 0, last: 99 }],
    ['5-9', { first: 5, last: 9 }],
    ['bytes 5-9/100', undefined],
    ['5-9/*', undefined],
    ['', undefined],
    ['-5', undefined],
    ['a-b', undefined],
    ['5-9-12', undefined],
    ['1e3-2e3', undefined],
    [`0-${'9'.repeat(16)}`, undefined],
  ])('takes %s', (header, range) => {
    expect(parseContentRange(header)).toEqual(range)
  })
})

describe('parsePage', () => {
  it.each([
    ['', {}],
    ['n=5&last=v1', { n: 5, last: 'v1' }],
    ['n=0', { n: 0 }],
    ['n=&last=', {}],
  ])('reads %s', (query, page) => {
    expect(parsePage(new URLSearchParams(query))).toEqual(page)
  })

  it.each(['n=-1', 'n=x', 'n=1.5', `n=${'9'.repeat(16)}`])('refuses %s', (query) => {
    expect(() => parsePage(new URLSearchParams(query))).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    )
  })
})

it('nextLink escapes what it leads to', () => {
  expect(nextLink('/v2/a/tags/list', { n: '5', last: 'a>b' })).toBe(
    '</v2/a/tags/list?n=5&last=a%3Eb>; rel="next"',
  )
})

describe('matchesEtag', () => {
  it.each([
    ['"a"', true],
    ['W/"a"', true],
    ['"b", "a"', true],
    ['*', true],
    ['"b"', false],
    ['a', false],
  ])('%s', (header, expected) => {
    expect(matchesEtag(header, '"a"')).toBe(expected)
  })
})

describe('warning', () => {
  it('is printable, quoted once and bounded', () => {
    expect(warning('tag "v1"\r\nX: é')).toBe('299 - "tag \'v1\'??X: ?"')
    expect(warning('x'.repeat(10_000))).toHaveLength(4096)
  })
})
