import { type AccessRule, ACTIONS } from '../../src/auth/rules.ts'

/** Of the password `secret`, as `htpasswd -nbB -C 5 alice secret` printed it. */
export const HASH = '$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES'

export const ISSUER = 'https://token.example'

/** Rules for anonymous clients, a user, a subject of a token, and an administrator. */
export const RULES: readonly AccessRule[] = [
  { repositories: ['public/**'], who: [{ kind: 'anonymous' }], may: ['pull'] },
  {
    repositories: ['team/*'],
    who: [
      { kind: 'user', name: 'alice' },
      { kind: 'oidc', issuer: ISSUER, subject: 'repo:org/app:*' },
    ],
    may: ['pull', 'push'],
  },
  { repositories: ['**'], who: [{ kind: 'user', name: 'admin' }], may: ACTIONS },
]
