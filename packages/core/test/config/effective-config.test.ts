import { describe, expect, it } from 'vitest'
import type { BucketConfig, ImageSettings } from '../../src/config/bucket-config.ts'
import { effectiveConfig, isImmutable, matchingPattern } from '../../src/config/effective-config.ts'

const config = (
  images: Record<string, ImageSettings>,
  defaults: ImageSettings = {},
): BucketConfig => ({ default: defaults, images })

const patterns = (...names: string[]) => config(Object.fromEntries(names.map((name) => [name, {}])))

describe('immutability', () => {
  const [on, off] = [{ immutable: true }, { immutable: false }]
  const rules = { lifecycle: { keepLast: 5 } }
  it.each<[string, Record<string, ImageSettings>, ImageSettings, boolean]>([
    ['is inherited by an entry of its name', { 'team/*': on, 'team/app': rules }, {}, true],
    ['is inherited by a narrower glob', { 'team/*': on, 'team/a*': rules }, {}, true],
    ['holds over a narrower glob that says no', { 'team/*': on, 'team/a*': off }, {}, true],
    [
      'ends where its own entry says so',
      { 'team/*': on, 'team/a*': on, 'team/app': off },
      {},
      false,
    ],
    ['of the defaults ends where the glob says so', { 'team/*': off }, on, false],
    ['of the defaults holds where nothing says no', { 'team/*': rules }, on, true],
    ['of a glob that does not match is nothing', { 'dev/*': on }, {}, false],
    ['of a glob that is not well formed is nothing', { 'team/[': on }, {}, false],
  ])('%s', (_, images, defaults, expected) => {
    expect(isImmutable(config(images, defaults), 'team/app')).toBe(expected)
  })
})

describe('matchingPattern', () => {
  it.each([
    [['*', 'app'], 'app', 'app'],
    [['app*', '*'], 'app', 'app*'],
    [['*', 'a*', 'ap*'], 'app', 'ap*'],
    [['dev/*'], 'dev/app', 'dev/*'],
    [['dev/*'], 'dev/team/app', undefined],
    [['*'], 'a/b', undefined],
    [['**'], 'app', '**'],
    [['app'], 'app2', undefined],
    [['[', 'a*'], 'app', 'a*'],
  ])('of %j for %s is %s', (names, image, expected) => {
    expect(matchingPattern(patterns(...names), image)).toBe(expected)
  })

  it('decides between globs of one length by name, in any order', () => {
    expect(matchingPattern(patterns('ab*', 'a*c'), 'abc')).toBe('a*c')
    expect(matchingPattern(patterns('a*c', 'ab*'), 'abc')).toBe('a*c')
  })

  it('takes a class for a wildcard: a plain name wins over a longer one', () => {
    expect(matchingPattern(patterns('[a-z][a-z][a-z]', 'app'), 'app')).toBe('app')
  })

  it('is not confused by names that objects inherit', () => {
    expect(matchingPattern(config({}), 'constructor')).toBeUndefined()
    expect(effectiveConfig(config({}), '__proto__')).toEqual({})
  })
})

describe('effectiveConfig', () => {
  const defaults: ImageSettings = {
    immutable: true,
    lifecycle: { keepLast: 10, maxAge: '90d', keepTags: ['latest'] },
  }
  const fromDefault = { source: { kind: 'default' } }
  const fromDev = { source: { kind: 'image', pattern: 'dev/*' } }

  it('is the default, where no pattern matches', () => {
    expect(effectiveConfig(config({ 'dev/*': { immutable: false } }, defaults), 'app')).toEqual({
      immutable: { value: true, ...fromDefault },
      keepLast: { value: 10, ...fromDefault },
      maxAge: { value: '90d', ...fromDefault },
      keepTags: { value: ['latest'], ...fromDefault },
    })
  })

  it('merges the pattern over the default value by value, and names each source', () => {
    const dev: ImageSettings = { immutable: false, lifecycle: { keepLast: 3 } }
    expect(effectiveConfig(config({ 'dev/*': dev }, defaults), 'dev/app')).toEqual({
      immutable: { value: false, ...fromDev },
      keepLast: { value: 3, ...fromDev },
      maxAge: { value: '90d', ...fromDefault },
      keepTags: { value: ['latest'], ...fromDefault },
    })
  })

  it('replaces the list of kept tags rather than adding to it', () => {
    const merged = effectiveConfig(
      config({ 'dev/*': { lifecycle: { keepTags: ['x'] } } }, defaults),
      'dev/app',
    )
    expect(merged.keepTags).toEqual({ value: ['x'], ...fromDev })
  })

  it('cannot take a default back to zero or empty', () => {
    const empty: ImageSettings = { lifecycle: { keepLast: 0, maxAge: '', keepTags: [] } }
    expect(effectiveConfig(config({ app: empty }, defaults), 'app')).toEqual(
      effectiveConfig(config({}, defaults), 'app'),
    )
  })

  it('takes a lifecycle whole where the default has none', () => {
    const dev: ImageSettings = { lifecycle: { maxAge: '1d' } }
    expect(effectiveConfig(config({ 'dev/*': dev }), 'dev/app')).toEqual({
      maxAge: { value: '1d', ...fromDev },
    })
  })

  it('applies the first pattern only', () => {
    const images = { app: { lifecycle: { keepLast: 1 } }, '*': { immutable: true } }
    expect(effectiveConfig(config(images), 'app').keepLast?.value).toBe(1)
  })

  it('tells a pattern called "default" from the defaults', () => {
    expect(effectiveConfig(config({ default: { immutable: true } }), 'default').immutable).toEqual({
      value: true,
      source: { kind: 'image', pattern: 'default' },
    })
  })
})

describe('isImmutable', () => {
  it('is false unless something says so', () => {
    expect(isImmutable(config({}), 'app')).toBe(false)
    expect(isImmutable(config({}, { immutable: true }), 'app')).toBe(true)
    expect(isImmutable(config({ 'a*': { immutable: true } }), 'app')).toBe(true)
    expect(isImmutable(config({ app: { immutable: false } }, { immutable: true }), 'app')).toBe(
      false,
    )
  })
})
