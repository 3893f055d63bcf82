import { describe, expect, it } from 'vitest'
import { exportedPath } from '../src/package-exports.ts'

describe('an exports map', () => {
  it.each([
    ['the first condition that holds', { require: './a.cjs', import: './b.js', default: './c.js' }],
    ['the first alternative that is a path', ['../x', 'x', './b.js']],
    ['a nested condition', { node: { require: './a.cjs', default: './b.js' } }],
    ['what follows a nest in which nothing holds', { node: { require: './a' }, default: './b.js' }],
  ])('gives %s', (_, entry) => {
    expect(exportedPath({ './plugin': entry }, './plugin')).toBe('./b.js')
  })

  it.each([
    ['nothing that holds', { require: './a.cjs', browser: './b.js' }],
    ['an export that was taken back', { import: null, default: './b.js' }],
    ['a path out of the package', '../b.js'],
    ['the name of another package', 'b'],
  ])('gives nothing for %s', (_, entry) => {
    expect(exportedPath({ './plugin': entry }, './plugin')).toBeUndefined()
  })

  it.each([[undefined], ['./index.js'], [['./index.js']], [{ import: './index.js' }], [{}]])(
    '%j exports no ./plugin',
    (exports) => {
      expect(exportedPath(exports, './plugin')).toBeUndefined()
    },
  )

  it('gives what a pattern makes of the name, the most specific one first', () => {
    const exports = { './*': './dist/*.js', './pl*': './special/*/*.js', './*/x': './x.js' }
    expect(exportedPath(exports, './plugin')).toBe('./special/ugin/ugin.js')
    expect(exportedPath({ './*': './dist/*.js' }, './plugin')).toBe('./dist/plugin.js')
    expect(exportedPath({ './*': './dist/*.js', './plugin': null }, './plugin')).toBeUndefined()
  })
})
