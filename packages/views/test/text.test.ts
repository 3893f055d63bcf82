import { describe, expect, it } from 'vitest'
import { escapeLines, escapeText, formatSeconds, formatSize, quoteWord } from '../src/text.ts'

describe('text', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [999.5, '1.0 kB'],
    [1500, '1.5 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [1.2e9, '1.2 GB'],
    [5e18, '5000.0 PB'],
  ])('shows %d bytes as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })

  it.each([
    [-1, '0s'],
    [59.4, '59s'],
    [59.6, '1m00s'],
    [125, '2m05s'],
    [3720, '1h02m'],
  ])('shows %d seconds as %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text)
  })

  it('is quoted for a shell only where it must be', () => {
    expect(quoteWord('s3://b/app:v1')).toBe('s3://b/app:v1')
    expect(quoteWord("it's")).toBe(String.raw`'it'\''s'`)
    expect(quoteWord('')).toBe("''")
  })

  it('never commands a terminal', () => {
    expect(escapeText('a\u001B[2J\n')).toBe(String.raw`a\x1b[2J\n`)
    expect(escapeLines('a\tb\n\u202E')).toBe('a\tb\n\\u{202e}')
  })
})
