/** Whose credentials a request carries. */
export type Identity =
  | { readonly kind: 'anonymous' }
  /** A user of the htpasswd file. */
  | { readonly kind: 'user'; readonly name: string }
  /** The bearer of a token that an OIDC issuer signed. */
  | { readonly kind: 'oidc'; readonly issuer: string; readonly subject: string }

export const ANONYMOUS: Identity = { kind: 'anonymous' }

/**
 * An identity in one text, for logs and for the history of a tag. The kinds never share a name: a
 * user's has no `:`, that of an OIDC subject starts with `oidc:`.
 */
export function nameOf(identity: Identity): string {
  if (identity.kind === 'anonymous') return 'anonymous'
  return identity.kind === 'user' ? identity.name : `oidc:${identity.subject}`
}
