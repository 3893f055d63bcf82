import { describe, expect, it } from 'vitest'
import { padEnd, textWidth, truncate } from '../src/width.ts'

describe('the width of text', () => {
  it('counts columns, not characters', () => {
    expect([textWidth('abc'), textWidth('漢字'), textWidth('e\u0301'), textWidth('🚀')]).toEqual([
      3, 4, 1, 2,
    ])
  })

  it('is never exceeded by a cut', () => {
    expect(truncate('漢字漢字', 5)).toBe('漢字…')
    expect(truncate('漢字漢字', 4)).toBe('漢…')
    expect(truncate('abc', 3)).toBe('abc')
    expect(truncate('abc', 0)).toBe('')
  })

  it('is padded by columns', () => {
    expect(padEnd('漢字', 6)).toBe('漢字  ')
    expect(padEnd('abc', 2)).toBe('abc')
  })
})
