import type { Grant } from './jwt.ts'
import type { Action } from './principal.ts'

/** Scopes of one request for a token, at most: a client that mounts asks for two. */
const MAX_SCOPES = 32

/** The longest text of scopes that is looked at (characters). */
const MAX_LENGTH = 16 * 1024

/** What each word of a scope asks for. */
const REPOSITORY_ACTIONS: Readonly<Record<string, readonly Action[]>> = {
  pull: ['pull'],
  push: ['push'],
  delete: ['delete'],
  '*': ['pull', 'push', 'delete'],
}

/**
 * What scopes ask for (Docker's token specification): `repository:NAME:pull,push` and
 * `registry:catalog:*`, several in one text with spaces between them. Other scopes, and words that
 * mean nothing, ask for nothing. `undefined` where there are too many.
 */
export function parseScopes(texts: readonly string[]): readonly Grant[] | undefined {
  if (texts.reduce((sum, { length }) => sum + length, 0) > MAX_LENGTH) return undefined
  const scopes = texts.flatMap((text) => text.split(' ')).filter((scope) => scope !== '')
  return scopes.length > MAX_SCOPES ? undefined : scopes.flatMap(parseScope)
}

function parseScope(scope: string): readonly Grant[] {
  if (scope === 'registry:catalog:*') {
    return [{ type: 'registry', name: 'catalog', actions: ['catalog'] }]
  }
  const [type, name, words, ...more] = scope.split(':')
  if (type !== 'repository' || !name || words === undefined || more.length > 0) return []
  const actions = words
    .split(',')
    .flatMap((word) =>
      Object.hasOwn(REPOSITORY_ACTIONS, word) ? (REPOSITORY_ACTIONS[word] ?? []) : [],
    )
  return [{ type, name, actions: [...new Set(actions)] }]
}

/** The scope to ask for before an action, as a challenge names it. */
export function formatScope(action: Action, repository: string | undefined): string | undefined {
  if (action === 'catalog') return 'registry:catalog:*'
  if (repository === undefined) return undefined
  // Clients that push or delete look first at what is there.
  return `repository:${repository}:${action === 'pull' ? action : `pull,${action}`}`
}

/** True when a token's grants have an action. */
export function grantsInclude(
  grants: readonly Grant[],
  action: Action,
  repository: string | undefined,
): boolean {
  return grants.some(({ type, name, actions }) =>
    action === 'catalog'
      ? type === 'registry' && name === 'catalog' && actions.includes('catalog')
      : type === 'repository' && name === repository && actions.includes(action),
  )
}
