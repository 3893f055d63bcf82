import { matchesGlob } from '@s3lo/core'
import { ANONYMOUS, type Identity } from './identity.ts'
import type { Action } from './principal.ts'

export const ACTIONS: readonly Action[] = ['pull', 'push', 'delete', 'catalog']

/** Whom a rule is about. */
export type Who =
  | { readonly kind: 'anonymous' }
  /** A glob over the names of the htpasswd file. */
  | { readonly kind: 'user'; readonly name: string }
  /** A pattern over the subjects of one issuer: {@link matchesSubject}. */
  | { readonly kind: 'oidc'; readonly issuer: string; readonly subject: string }

export interface AccessRule {
  /** Patterns of {@link matchesRepository}. */
  readonly repositories: readonly string[]
  readonly who: readonly Who[]
  readonly may: readonly Action[]
}

/**
 * Rules in order. The first one that is about an identity and a repository decides; without one the
 * answer is no. Everybody may besides do what an anonymous client may, who only has to leave out the
 * credentials.
 */
export interface AccessRules {
  may(identity: Identity, repository: string, action: Action): boolean
  /** True when no rule can take the action away in any repository. May be false where one could tell more. */
  mayEverywhere(identity: Identity, action: Action): boolean
  /** True when the action is allowed in some repository, which need not exist. */
  mayAnywhere(identity: Identity, action: Action): boolean
}

/** Rules that allow everything to everybody, for a server that only its own machine reaches. */
export const OPEN_RULES: readonly AccessRule[] = [
  { repositories: ['**'], who: [{ kind: 'anonymous' }], may: ACTIONS },
]

/** True for a rule that lets anonymous clients push or delete. */
export function changesAnonymously({ who, may }: AccessRule): boolean {
  const isAnonymous = who.some(({ kind }) => kind === 'anonymous')
  return isAnonymous && (may.includes('push') || may.includes('delete'))
}

export function createRules(rules: readonly AccessRule[]): AccessRules {
  /** The identity itself, and what it is without credentials. */
  const guises = (identity: Identity): readonly (readonly AccessRule[])[] =>
    (identity.kind === 'anonymous' ? [ANONYMOUS] : [identity, ANONYMOUS]).map((guise) =>
      rules.filter(({ who }) => who.some((one) => isAbout(one, guise))),
    )
  return {
    may: (identity, repository, action) =>
      guises(identity).some((own) =>
        own.find(({ repositories }) => matchesAny(repositories, repository))?.may.includes(action),
      ),
    mayEverywhere: (identity, action) =>
      guises(identity).some((own) => {
        const lacking = own.findIndex(({ may }) => !may.includes(action))
        const sure = lacking < 0 ? own : own.slice(0, lacking)
        return sure.some(({ repositories }) => repositories.includes('**'))
      }),
    mayAnywhere: (identity, action) =>
      guises(identity).some((own) => own.some(({ may }) => may.includes(action))),
  }
}

/**
 * True when a pattern matches the whole of a repository's name. `*`, `?` and classes match within
 * one component; a component `**` is any number of components, and at least one at the end:
 * `public/**` is everything below `public`.
 */
export function matchesRepository(pattern: string, repository: string): boolean {
  const wanted = pattern.split('/')
  const parts = repository.split('/')
  let i = 0
  let j = 0
  let star = -1
  let resume = 0
  while (j < parts.length) {
    const component = wanted[i]
    if (component === '**') {
      if (i === wanted.length - 1) return true
      star = i++
      resume = j
    } else if (component !== undefined && matchesGlob(component, parts[j] ?? '')) {
      i++
      j++
    } else if (star >= 0) {
      i = star + 1
      j = ++resume
    } else {
      return false
    }
  }
  return i === wanted.length
}

/**
 * True when a pattern matches the whole of a token's subject. A `*` at the end is the rest, of any
 * characters; another `*` stops at `/` and `:`, so that no part of a subject that its bearer chooses
 * (the name of a branch) can pass for the next one.
 */
export function matchesSubject(pattern: string, subject: string): boolean {
  const rest = pattern.endsWith('*')
  const texts = (rest ? pattern.slice(0, -1) : pattern).split('*')
  let position = 0
  for (const [n, text] of texts.entries()) {
    const isLast = n === texts.length - 1 && !rest
    const place = n === 0 ? 0 : findText(subject, text, position, isLast)
    if (place === undefined || !subject.startsWith(text, place)) return false
    position = place + text.length
  }
  return rest || position === subject.length
}

/** The first place of a text that only characters of one part precede; the last text ends the subject. */
function findText(
  subject: string,
  text: string,
  start: number,
  isLast: boolean,
): number | undefined {
  const place = isLast ? subject.length - text.length : subject.indexOf(text, start)
  if (place < start || /[/:]/.test(subject.slice(start, place))) return undefined
  return place
}

function matchesAny(patterns: readonly string[], repository: string): boolean {
  return patterns.some((pattern) => matchesRepository(pattern, repository))
}

function isAbout(who: Who, identity: Identity): boolean {
  if (who.kind === 'anonymous' || identity.kind === 'anonymous') return who.kind === identity.kind
  if (who.kind === 'user') return identity.kind === 'user' && matchesGlob(who.name, identity.name)
  return (
    identity.kind === 'oidc' &&
    who.issuer === identity.issuer &&
    matchesSubject(who.subject, identity.subject)
  )
}
