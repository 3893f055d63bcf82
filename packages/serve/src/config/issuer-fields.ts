import { isTrustworthyAddress } from '../auth/bounded-fetch.ts'
import type { OidcIssuer } from '../auth/oidc.ts'
import type { Fields } from './fields.ts'

/** `tokens`: one issuer or several. */
export function readIssuers(fields: Fields): readonly OidcIssuer[] {
  const issuers = fields
    .mappings('tokens', ['issuer', 'audience', 'jwks'])
    .map((entry) => readIssuer(entry))
  const names = issuers.map(({ issuer }) => issuer)
  if (new Set(names).size < names.length) fields.fail('tokens', 'names an issuer twice')
  return issuers
}

function readIssuer(entry: Fields): OidcIssuer {
  const issuer = entry.required('issuer')
  // Compared with a text in tokens: it is kept as it is written.
  if (!isTrustworthyAddress(issuer)) entry.fail('issuer', 'is not an address of https')
  const audience = entry.texts('audience').map(([text]) => text)
  if (audience.length === 0) {
    entry.fail(undefined, 'has no audience: a token for any other service would be one for this')
  }
  return { issuer, audience, jwks: readJwks(entry) }
}

function readJwks(entry: Fields): OidcIssuer['jwks'] {
  const text = entry.text('jwks') ?? 'auto'
  if (text === 'auto') return { from: 'discovery' }
  if (text.startsWith('/') || text.startsWith('./')) return { from: 'file', at: text }
  if (!isTrustworthyAddress(text)) {
    entry.fail('jwks', 'is neither auto, an address of https, nor a path that starts with / or ./')
  }
  return { from: 'url', at: text }
}
