import { assert, maxSafeNat, nat, property, string, stringMatching } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseContentLength, parseContentRange, parseUploadRange } from '../src/content-range.ts'
import { nextLink } from '../src/link-header.ts'
import { printable } from '../src/registry-error.ts'

describe('a Link header', () => {
  it.each([
    ['</v2/a/tags/list?n=1&last=x>; rel="next"', '/v2/a/tags/list?n=1&last=x'],
    ['</x>; rel=next', '/x'],
    ['</x>;REL="Next"', '/x'],
    ['</x>; title="a, b"; rel="prev next"', '/x'],
    ['</p>; rel="prev", </n>; rel="next"', '/n'],
    ['</p>; title="<x>; rel=next", </n>; rel="next"', '/n'],
    ['/v2/a/tags/list?n=1&last=x; rel="next"', '/v2/a/tags/list?n=1&last=x'],
    [' https://host/x ; rel=next', 'https://host/x'],
    ['/x; rel="prev"', undefined],
    ['/x', undefined],
    ['/a, /b; rel=next', undefined],
    ['</p>; rel="prev"', undefined],
    ['</x>', undefined],
    ['</x; rel="next"', undefined],
    ['', undefined],
  ])('%s leads to %s', (header, next) => {
    expect(nextLink(header)).toBe(next)
  })

  it('of any content takes no time and throws nothing', () => {
    const likely = stringMatching(/^(<[a-z/?&=]{0,9}>|;| |,|rel|=|"|next|\\){0,40}$/)
    assert(property(likely, (header) => void nextLink(header)))
    assert(property(string({ unit: 'binary' }), (header) => void nextLink(header)))
    for (const part of ['<>;', '<', ';a="', '<>;a', ';rel="\\']) {
      expect(nextLink(part.repeat(16_000 / part.length))).toBeUndefined()
    }
  })

  it('is found again, after any other text', () => {
    const target = stringMatching(/^[a-z0-9/?&=.:%-]{1,40}$/)
    assert(
      property(target, target, (before, next) => {
        expect(nextLink(`<${before}>; rel="first", <${next}>; rel="next"`)).toBe(next)
      }),
    )
  })
})

describe('a Content-Range header', () => {
  it.each([
    ['bytes 0-9/10', { start: 0, end: 10, total: 10 }],
    ['bytes 5-5/*', { start: 5, end: 6 }],
    ['bytes 5-4/10', undefined],
    ['bytes 0-10/10', undefined],
    ['bytes 0-9999999999999999/*', undefined],
    ['bytes */10', undefined],
    ['bytes 0--1/10', undefined],
    ['items 0-9/10', undefined],
    ['', undefined],
  ])('%s is %j', (header, range) => {
    expect(parseContentRange(header)).toEqual(range)
  })

  it('comes back as it was written', () => {
    assert(
      property(maxSafeNat(), nat(), nat(), (start, length, rest) => {
        const end = start + length + 1
        const total = end + rest
        const parsed = parseContentRange(`bytes ${start}-${end - 1}/${total}`)
        expect(parsed).toEqual(Number.isSafeInteger(total) ? { start, end, total } : undefined)
      }),
    )
  })

  it('never contradicts itself', () => {
    assert(
      property(stringMatching(/^bytes \d{0,18}-\d{0,18}\/(\d{0,18}|\*)$/), (header) => {
        const range = parseContentRange(header)
        if (!range) return
        expect(range.start).toBeLessThan(range.end)
        expect(range.end).toBeLessThanOrEqual(range.total ?? range.end)
      }),
    )
    assert(property(string({ unit: 'binary' }), (header) => void parseContentRange(header)))
  })
})

it.each([
  ['0-99', 100],
  ['bytes=0-99', 100],
  ['0-0', 1],
  ['0--1', 0],
  ['0--2', undefined],
  ['1-2', undefined],
  ['', undefined],
])('an upload range of %s holds %s bytes', (header, size) => {
  expect(parseUploadRange(header)).toBe(size)
})

it.each([
  ['0', 0],
  ['12', 12],
  ['-1', undefined],
  ['1e3', undefined],
  ['9007199254740993', undefined],
  [undefined, undefined],
])('a Content-Length of %s is %s', (header, size) => {
  expect(parseContentLength(header)).toBe(size)
})

it('what a registry says is printed on one line without control characters', () => {
  assert(
    property(string({ unit: 'binary', maxLength: 2000 }), (text) => {
      const shown = printable(text)
      expect(shown.length).toBeLessThanOrEqual(300)
      expect(shown).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u)
    }),
  )
})
