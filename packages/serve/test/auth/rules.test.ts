import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ANONYMOUS, type Identity } from '../../src/auth/identity.ts'
import {
  type AccessRule,
  ACTIONS,
  createRules,
  matchesRepository,
  matchesSubject,
  OPEN_RULES,
} from '../../src/auth/rules.ts'
import { ISSUER, RULES } from '../support/access.ts'

const ADMIN: Identity = { kind: 'user', name: 'admin' }
const ALICE: Identity = { kind: 'user', name: 'alice' }
const bearer = (subject: string, issuer = ISSUER): Identity => ({ kind: 'oidc', issuer, subject })

describe('access rules', () => {
  const rules = createRules(RULES)

  it('allow nothing that no rule allows', () => {
    expect(rules.may(ANONYMOUS, 'team/app', 'pull')).toBe(false)
    expect(rules.may(ANONYMOUS, 'public/app', 'push')).toBe(false)
    expect(rules.may(ALICE, 'other', 'pull')).toBe(false)
    expect(rules.may(ALICE, 'team/app/deeper', 'pull')).toBe(false)
    expect(createRules([]).may(ADMIN, 'app', 'pull')).toBe(false)
  })

  it('let each do what its first rule says', () => {
    expect(rules.may(ALICE, 'team/app', 'push')).toBe(true)
    expect(rules.may(ALICE, 'team/app', 'delete')).toBe(false)
    expect(rules.may(ADMIN, 'team/app', 'delete')).toBe(true)
    const shadowed = createRules([
      { repositories: ['secret'], who: [{ kind: 'user', name: 'alice' }], may: [] },
      { repositories: ['**'], who: [{ kind: 'user', name: '*' }], may: ['pull'] },
    ])
    expect(shadowed.may(ALICE, 'secret', 'pull')).toBe(false)
    expect(shadowed.may(ADMIN, 'secret', 'pull')).toBe(true)
  })

  it('let everybody do what an anonymous client may', () => {
    expect(rules.may(ALICE, 'public/app', 'pull')).toBe(true)
    expect(rules.may(ADMIN, 'public/app', 'push')).toBe(true)
  })

  it('know an OIDC subject by its issuer', () => {
    expect(rules.may(bearer('repo:org/app:ref:refs/heads/main'), 'team/app', 'push')).toBe(true)
    expect(rules.may(bearer('repo:org/app2:ref:x'), 'team/app', 'push')).toBe(false)
    expect(rules.may(bearer('repo:org/app:x', 'https://other'), 'team/app', 'pull')).toBe(false)
  })

  it('never take a subject for a user of the same name', () => {
    expect(rules.may(bearer('admin'), 'app', 'pull')).toBe(false)
    expect(rules.may({ kind: 'user', name: 'repo:org/app:x' }, 'team/app', 'pull')).toBe(false)
  })

  it('say where an action is allowed for certain, and whether anywhere', () => {
    expect(rules.mayEverywhere(ADMIN, 'pull')).toBe(true)
    expect(rules.mayEverywhere(ALICE, 'pull')).toBe(false)
    expect(rules.mayEverywhere(ANONYMOUS, 'pull')).toBe(false)
    expect(rules.mayAnywhere(ANONYMOUS, 'pull')).toBe(true)
    expect(rules.mayAnywhere(ANONYMOUS, 'catalog')).toBe(false)
    expect(rules.mayAnywhere(ADMIN, 'catalog')).toBe(true)
    const excepted = createRules([
      { repositories: ['secret'], who: [{ kind: 'user', name: 'admin' }], may: [] },
      ...RULES,
    ])
    expect(excepted.mayEverywhere(ADMIN, 'pull')).toBe(false)
  })

  it('allow everything to everybody where they are open', () => {
    const open = createRules(OPEN_RULES)
    expect(ACTIONS.every((action) => open.mayEverywhere(ANONYMOUS, action))).toBe(true)
    expect(ACTIONS.every((action) => open.may(ALICE, 'any/thing', action))).toBe(true)
  })

  it('are never wider for an everywhere than for a single repository', () => {
    const names = fc.constantFrom('a', 'a/b', 'a/b/c', 'b')
    const rule = fc.record({
      repositories: fc.array(fc.constantFrom('**', 'a/**', '*', 'a/b'), { minLength: 1 }),
      who: fc.constantFrom<AccessRule['who']>(
        [{ kind: 'anonymous' }],
        [{ kind: 'user', name: 'alice' }],
      ),
      may: fc.subarray([...ACTIONS]),
    })
    fc.assert(
      fc.property(fc.array(rule), names, fc.constantFrom(...ACTIONS), (all, name, action) => {
        const created = createRules(all)
        if (created.mayEverywhere(ALICE, action)) {
          expect(created.may(ALICE, name, action)).toBe(true)
        }
        if (created.may(ALICE, name, action)) {
          expect(created.mayAnywhere(ALICE, action)).toBe(true)
        }
      }),
    )
  })
})

describe('matchesRepository', () => {
  it.each([
    ['**', 'app'],
    ['**', 'a/b/c'],
    ['public/**', 'public/a'],
    ['public/**', 'public/a/b'],
    ['**/app', 'app'],
    ['**/app', 'a/b/app'],
    ['a/**/z', 'a/z'],
    ['a/**/z', 'a/b/c/z'],
    ['team-*/app', 'team-red/app'],
    ['a/**/b/**/c', 'a/b/x/b/y/c'],
  ])('lets %j match %j', (pattern, name) => {
    expect(matchesRepository(pattern, name)).toBe(true)
  })

  it.each([
    ['public/**', 'public'],
    ['public/**', 'publicity/a'],
    ['public/**', 'x/public/a'],
    ['*', 'a/b'],
    ['a/*', 'a'],
    ['a/*', 'a/b/c'],
    ['app', 'app/sub'],
    ['app', 'my/app'],
    ['', 'a'],
    ['a/**/z', 'a/b/z/c'],
  ])('lets %j not match %j', (pattern, name) => {
    expect(matchesRepository(pattern, name)).toBe(false)
  })

  it('agrees with a regular expression', () => {
    const part = fc.constantFrom('a', 'b', '*', '**')
    const pattern = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'))
    const name = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 })
      .map((parts) => parts.join('/'))
    fc.assert(
      fc.property(pattern, name, (wanted, given) => {
        const parts = wanted.split('/')
        const source = parts.map((one, i) => {
          if (one !== '**') return one === '*' ? '[^/]+/' : `${one}/`
          return i === parts.length - 1 ? '(?:[^/]+/)+' : '(?:[^/]+/)*'
        })
        expect(matchesRepository(wanted, given)).toBe(
          new RegExp(`^${source.join('')}$`).test(`${given}/`),
        )
      }),
    )
  })
})

describe('matchesSubject', () => {
  it.each([
    ['repo:org/app:*', 'repo:org/app:ref:refs/heads/main'],
    ['repo:org/*:ref:refs/heads/main', 'repo:org/app:ref:refs/heads/main'],
    ['system:serviceaccount:ci:*', 'system:serviceaccount:ci:builder'],
    ['1234', '1234'],
    ['*', 'anything:at/all'],
    ['a*b*', 'axbyb/c'],
  ])('lets %j match %j', (pattern, subject) => {
    expect(matchesSubject(pattern, subject)).toBe(true)
  })

  it.each([
    ['repo:org/app:*', 'repo:org/app2:ref:refs/heads/main'],
    ['repo:org/*:ref:refs/heads/main', 'repo:org/app:x:ref:refs/heads/main'],
    ['repo:org/*:ref:refs/heads/main', 'repo:org/a/b:ref:refs/heads/main'],
    ['1234', '12345'],
    ['1234', '01234'],
    ['*:main', 'a:b:main'],
    ['ab*ba', 'aba'],
  ])('lets %j not match %j', (pattern, subject) => {
    expect(matchesSubject(pattern, subject)).toBe(false)
  })

  it('agrees with a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ':', '/', '*'), maxLength: 8 })
    const subject = fc.string({ unit: fc.constantFrom('a', 'b', ':', '/'), maxLength: 10 })
    fc.assert(
      fc.property(text, subject, (pattern, given) => {
        const source = pattern.replace(/\*$/, '#').replaceAll('*', '[^/:]*').replace('#', '.*')
        expect(matchesSubject(pattern, given)).toBe(new RegExp(`^${source}$`).test(given))
      }),
    )
  })
})
