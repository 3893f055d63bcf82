import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from '../../src/config/duration.ts'
import { isS3loError } from '../../src/errors.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

function parsed(text: string): number | string {
  try {
    return parseDuration(text)
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
}

describe('parseDuration', () => {
  it.each([
    ['7d', 7 * DAY],
    ['90d', 90 * DAY],
    ['-3d', -3 * DAY],
    ['+3d', 3 * DAY],
    ['007d', 7 * DAY],
    ['0d', 0],
    ['24h', DAY],
    ['168h', 7 * DAY],
    ['1h30m', 90 * MINUTE],
    ['-1h30m', -90 * MINUTE],
    ['+5s', 5 * SECOND],
    ['1.5h', 90 * MINUTE],
    ['.5s', 500],
    ['1.s', SECOND],
    ['30m1h', 90 * MINUTE],
    ['0', 0],
    ['-0', 0],
    ['100ms', 100],
    ['1500us', 1.5],
    ['1500µs', 1.5],
    ['1500μs', 1.5],
    ['1ns', 0.000001],
    ['1.000000000000000000000000001s', SECOND],
    ['106751d', 106751 * DAY],
  ])('reads %s', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
  })

  it.each([
    '',
    ' ',
    '90',
    '1w',
    '1.5d',
    'd',
    '-d',
    '10D',
    '1h2d',
    '--3d',
    '+-3d',
    '1 d',
    ' 7d',
    '7d\n',
    '.',
    '.s',
    's',
    '-',
    '+',
    '1h 30m',
    '1hh',
    '1e3s',
    '0x1s',
    '1_0d',
    '∞d',
    '١d',
    'NaNh',
    '1H',
    '1,5h',
  ])('refuses %j', (text) => {
    expect(parsed(text)).toBe('USAGE')
  })

  it.each([
    '9223372036854775807d',
    '106752d',
    '-106752d',
    '2562048h',
    '9223372036854775808ns',
    '2562047h47m16.854775808s',
    `${'9'.repeat(100_000)}h`,
    `${'9'.repeat(100_000)}d`,
  ])('refuses to overflow', (text) => {
    expect(parsed(text)).toBe('USAGE')
  })

  it('reads the longest duration the Go program has, and its negative', () => {
    expect(parseDuration('9223372036854775807ns')).toBeCloseTo(9223372036854.775, 2)
    expect(parseDuration('-9223372036854775808ns')).toBeCloseTo(-9223372036854.775, 2)
  })
})

describe('formatDuration', () => {
  it.each([
    [90 * DAY, '90d'],
    [-3 * DAY, '-3d'],
    [36 * HOUR, '36h'],
    [90 * MINUTE, '1h30m'],
    [61_500, '1m1.5s'],
    [250, '250ms'],
    [1.5, '1.5ms'],
    [0, '0s'],
    [0.000001, '0.000001ms'],
  ])('writes %d ms', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text)
  })

  it('is undone by parseDuration', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 43), max: 2 ** 43 - 1 }), (milliseconds) => {
        expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds)
      }),
    )
  })
})
