/** What a `WWW-Authenticate` asks for. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}

/** Reads the first challenge of a header (RFC 9110, 11.6.1); nothing where it has no such form. */
export function parseChallenge(header: string): Challenge | undefined {
  const [, scheme, rest = ''] = /^\s*([A-Za-z]+)(?:\s+(.*))?$/s.exec(header) ?? []
  if (scheme === undefined) return undefined
  const parameters = new Map<string, string>()
  let unread = rest.trim()
  while (unread !== '') {
    const found = /^([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,\s*|$)/.exec(unread)
    const [whole = '', name = '', quoted, plain] = found ?? []
    if (whole === '') return undefined
    parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '')
    unread = unread.slice(whole.length)
  }
  return { scheme: scheme.toLowerCase(), parameters }
}
