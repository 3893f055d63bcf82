import { describe, expect, it } from 'vitest'
import { parseServeConfig } from '../../src/config/serve-config.ts'

const parse = (text: string) => parseServeConfig(new TextEncoder().encode(text), 'serve.yaml')

const ISSUER = 'https://token.actions.githubusercontent.com'

describe('serve.yaml', () => {
  it('says who may do what', async () => {
    const config = await parse(`
users: { htpasswd: /etc/s3lo/htpasswd }
tokens: { issuer: ${ISSUER}, audience: s3lo, jwks: auto }
signing_key: { file: /etc/s3lo/token.key }
access:
  - { repositories: 'public/**', who: anonymous, may: [pull] }
  - { repositories: ['team/*', shared], who: [alice, 'repo:org/app:*'], may: [pull, push] }
  - repositories: '**'
    who: [admin, { issuer: ${ISSUER}, subject: ops }]
    may: [pull, push, delete, catalog]
`)
    expect(config).toEqual({
      allowHosts: [],
      limits: {},
      htpasswd: '/etc/s3lo/htpasswd',
      issuers: [{ issuer: ISSUER, audience: ['s3lo'], jwks: { from: 'discovery' } }],
      signingKey: { from: 'file', path: '/etc/s3lo/token.key' },
      rules: [
        { repositories: ['public/**'], who: [{ kind: 'anonymous' }], may: ['pull'] },
        {
          repositories: ['team/*', 'shared'],
          who: [
            { kind: 'user', name: 'alice' },
            { kind: 'oidc', issuer: ISSUER, subject: 'repo:org/app:*' },
          ],
          may: ['pull', 'push'],
        },
        {
          repositories: ['**'],
          who: [
            { kind: 'user', name: 'admin' },
            { kind: 'oidc', issuer: ISSUER, subject: 'ops' },
          ],
          may: ['pull', 'push', 'delete', 'catalog'],
        },
      ],
    })
  })

  it('says how the server runs', async () => {
    const config = await parse(`
listen: 0.0.0.0:443
external_url: https://registry.example/
allow_hosts: registry.lan
trusted_proxies: [10.0.0.0/8, '::1']
tls: { cert: tls.crt, key: tls.key }
tokens:
  - { issuer: https://a.example, audience: [a, b], jwks: https://a.example/keys }
  - { issuer: http://localhost:8080, audience: s3lo, jwks: ./keys.json }
signing_key: { env: S3LO_SIGNING_KEY }
limits: { connections: 100, blob: 50GiB }
access_log: true
read_only: yes
`)
    expect(config).toMatchObject({
      listen: '0.0.0.0:443',
      externalUrl: 'https://registry.example',
      allowHosts: ['registry.lan'],
      tls: { cert: 'tls.crt', key: 'tls.key' },
      issuers: [
        { audience: ['a', 'b'], jwks: { from: 'url', at: 'https://a.example/keys' } },
        { jwks: { from: 'file', at: './keys.json' } },
      ],
      signingKey: { from: 'env', name: 'S3LO_SIGNING_KEY' },
      limits: { connections: 100, blob: 50 * 2 ** 30 },
      accessLog: true,
      readOnly: true,
    })
    expect(config.trustedProxies?.check('10.1.2.3')).toBe(true)
    expect(config.rules).toBeUndefined()
  })

  it('may be empty', async () => {
    expect(await parse('')).toEqual({ allowHosts: [], issuers: [], limits: {} })
  })

  it.each([
    ['an unknown key', 'acces: []'],
    ['an unknown key of a rule', "access:\n  - { repository: 'a', who: anonymous, may: [pull] }"],
    ['a rule without repositories', 'access:\n  - { who: anonymous, may: [pull] }'],
    ['a rule without who', "access:\n  - { repositories: '**', may: [pull] }"],
    ['a rule without may', "access:\n  - { repositories: '**', who: anonymous }"],
    ['an unknown action', "access:\n  - { repositories: '**', who: anonymous, may: [write] }"],
    [
      'a pattern that matches nothing',
      'access:\n  - { repositories: Team/*, who: anonymous, may: [pull] }',
    ],
    ['a malformed pattern', "access:\n  - { repositories: 'a[', who: anonymous, may: [pull] }"],
    [
      'a half component of stars',
      "access:\n  - { repositories: 'a**', who: anonymous, may: [pull] }",
    ],
    ['a user without users', "access:\n  - { repositories: '**', who: alice, may: [pull] }"],
    ['a subject without tokens', "access:\n  - { repositories: '**', who: 'a:b', may: [pull] }"],
    ['an issuer without TLS', 'tokens: { issuer: http://a.example, audience: s3lo }'],
    ['an issuer without an audience', 'tokens: { issuer: https://a.example }'],
    ['an issuer with a password', 'tokens: { issuer: https://u:p@a.example, audience: s3lo }'],
    [
      'keys without TLS',
      'tokens: { issuer: https://a.example, audience: s, jwks: http://a.example }',
    ],
    [
      'an issuer twice',
      `tokens:\n  - { issuer: ${ISSUER}, audience: a }\n  - { issuer: ${ISSUER}, audience: b }`,
    ],
    ['a key in the file itself', 'signing_key: MC4CAQAwBQYDK2VwBCIEIA'],
    ['a key from two places', 'signing_key: { file: a, env: B }'],
    ['half of TLS', 'tls: { cert: a }'],
    ['users without a file', 'users: {}'],
    ['an address of clients with a path', 'external_url: https://a.example/registry'],
    ['a proxy that is no address', 'trusted_proxies: [proxy.example]'],
    ['a network that is none', 'trusted_proxies: [10.0.0.0/33]'],
    ['a limit that is no number', 'limits: { connections: many }'],
    ['a limit of bytes that is none', 'limits: { blob: 50GB }'],
  ])('refuses %s, naming the line', async (_what, text) => {
    await expect(parse(`# serve\n${text}`)).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringMatching(/^serve\.yaml line [234]: /),
    })
  })

  it('refuses a subject that several issuers could give', async () => {
    const tokens =
      'tokens: [{ issuer: https://a, audience: a }, { issuer: https://b, audience: b }]'
    const rule = (who: string) =>
      `${tokens}\naccess: [{ repositories: '**', who: ${who}, may: [] }]`
    await expect(parse(rule("'a:b'"))).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(parse(rule('{ issuer: https://c, subject: a }'))).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
    expect(await parse(rule('{ issuer: https://b, subject: a }'))).toMatchObject({
      rules: [{ who: [{ issuer: 'https://b' }], may: [] }],
    })
  })
})
