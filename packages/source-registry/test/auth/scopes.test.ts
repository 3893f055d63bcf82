import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { challengeScopes, mergeScopes, repositoryOf } from '../../src/auth/scopes.ts'

describe('mergeScopes', () => {
  it('names each resource once, in one order', () => {
    const scopes = ['repository:b:push', 'repository:a:pull', 'repository:b:pull,push', 'openid']
    const merged = ['openid', 'repository:a:pull', 'repository:b:pull,push']
    expect(mergeScopes(scopes)).toEqual(merged)
    expect(mergeScopes(scopes.toReversed())).toEqual(merged)
  })

  it('keeps colons in names', () => {
    expect(mergeScopes(['repository:host:5000/app:push', 'repository:host:5000/app:pull'])).toEqual(
      ['repository:host:5000/app:pull,push'],
    )
  })

  it('changes nothing the second time', () => {
    const scope = fc.string({ unit: fc.constantFrom('a', ':', ',', 'b'), minLength: 1 })
    fc.assert(
      fc.property(fc.array(scope), (scopes) => {
        const merged = mergeScopes(scopes)
        expect(mergeScopes(merged)).toEqual(merged)
      }),
    )
  })
})

describe('challengeScopes', () => {
  it('splits at spaces and leaves out what can be no scope', () => {
    expect(challengeScopes('repository:a:pull  repository:b:pull')).toEqual([
      'repository:a:pull',
      'repository:b:pull',
    ])
    expect(challengeScopes('a\r\nb é "c" \\d ok')).toEqual(['ok'])
    expect(challengeScopes(undefined)).toEqual([])
  })

  it('bounds how much it keeps', () => {
    expect(challengeScopes('a '.repeat(10_000)).length).toBeLessThanOrEqual(32)
    expect(challengeScopes('a'.repeat(10_000))).toEqual([])
  })
})

describe('repositoryOf', () => {
  it('gives the first repository', () => {
    expect(repositoryOf(['registry:catalog:*', 'repository:team/app:pull'])).toBe('team/app')
    expect(repositoryOf(['registry:catalog:*'])).toBeUndefined()
  })
})
