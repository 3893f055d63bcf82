const MAX_SCOPES = 32
const MAX_SCOPE = 1024
/** Characters of `scope` in RFC 6749, appendix A.4. */
const SCOPE = /^[!#-[\]-~]+$/

/**
 * What a token has to allow, with each resource once and in a fixed order:
 * `repository:app:pull` and `repository:app:push` are `repository:app:pull,push`.
 */
export function mergeScopes(scopes: Iterable<string>): readonly string[] {
  const actions = new Map<string, Set<string>>()
  for (const scope of scopes) {
    // The name may have colons, before a port.
    const colon = scope.lastIndexOf(':')
    const resource = scope.slice(0, Math.max(0, colon))
    const allowed = actions.get(resource) ?? new Set()
    for (const action of scope.slice(colon + 1).split(',')) allowed.add(action)
    actions.set(resource, allowed)
  }
  return [...actions]
    .map(([resource, allowed]) => [resource, [...allowed].toSorted().join(',')])
    .map(([resource, allowed]) => (resource === '' ? `${allowed}` : `${resource}:${allowed}`))
    .toSorted()
}

/** The scopes that a challenge names; what can be none is left out. */
export function challengeScopes(scope: string | undefined): readonly string[] {
  return (scope ?? '')
    .split(' ', MAX_SCOPES)
    .filter((text) => text.length <= MAX_SCOPE && SCOPE.test(text))
}

/** The first repository that the scopes name. */
export function repositoryOf(scopes: readonly string[]): string | undefined {
  const scope = scopes.find((text) => text.startsWith('repository:'))
  return scope?.slice('repository:'.length, scope.lastIndexOf(':'))
}
