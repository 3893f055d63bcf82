import { isIP } from 'node:net'
import { isS3loError } from '@s3lo/core'
import * as fc from 'fast-check'
import { createLog } from '../../src/audit.ts'
import { parseCredentials } from '../../src/auth/credentials.ts'
import { parseHtpasswd } from '../../src/auth/htpasswd.ts'
import { decodeIssuer } from '../../src/auth/jwt.ts'
import { createLogInPace } from '../../src/auth/log-in-pace.ts'
import { createRules, matchesRepository, matchesSubject } from '../../src/auth/rules.ts'
import { parseScopes } from '../../src/auth/scope.ts'
import { createBrowserGuard } from '../../src/browser-guard.ts'
import { parseServeConfig } from '../../src/config/serve-config.ts'
import { clientAddress, clientOrigin, parseNetworks } from '../../src/request/client.ts'
import { fakeRequest } from '../support/requests.ts'

/** Texts of these pieces, of anything, and of one piece again and again. */
function textOf(...pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    fc.string({ unit: 'binary', maxLength: 6 }),
  )
  return fc.oneof(
    fc.array(piece, { maxLength: 40 }).map((all) => all.join('')),
    fc.tuple(piece, fc.nat(20_000)).map(([text, count]) => text.repeat(count)),
  )
}

/** Runs what may throw `INTEGRITY`; any other error is a finding. */
async function onlyIntegrity(run: () => unknown): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY')) throw error
  }
}

const header = textOf('Basic ', 'Bearer ', 'basic', ' ', 'YTpi', '=', 'eyJ', '.', ':', ',')
const scope = textOf('repository:', 'registry:catalog:*', 'a/b', ':', 'pull', ',', 'push', '*', ' ')
const line = textOf('alice', ':', '$2y$05$', 'a'.repeat(53), '\n', '#', ' ', '\r')
const host = textOf('localhost', '127.0.0.1', '[::1]', ':80', '.', '@', '/', '\\', 'evil', '#', '%')
const address = textOf(
  '10.0.0.1',
  '::1',
  '::ffff:',
  '192.0.2.1',
  ',',
  ' ',
  '%',
  'fe80::',
  '/8',
  ':',
)
const yaml = textOf(
  'access:\n',
  '  - ',
  '{ repositories: "**", who: anonymous, may: [pull] }',
  'users: { htpasswd: a }\n',
  'tokens: { issuer: https://a, audience: b }\n',
  'who: [a, "b:c"]',
  '&a ',
  '*a',
  '<<: ',
  '[',
  ']',
  '{',
  '}',
  '\n',
  ': ',
)
const PROXIES = parseNetworks(['10.0.0.0/8', '127.0.0.0/8', '::1'])

export const properties = {
  'credentials are read': fc.property(header, (text) => {
    const credentials = parseCredentials(text)
    if (credentials.kind === 'basic' && credentials.name.includes(':')) throw new Error('name')
    if (credentials.kind === 'bearer') decodeIssuer(credentials.token)
  }),
  'scopes ask for what there is': fc.property(fc.array(scope, { maxLength: 3 }), (texts) => {
    const grants = parseScopes(texts) ?? []
    if (grants.length > 32) throw new Error('too many')
    for (const { name, actions } of grants) {
      if (/[ :]/.test(name)) throw new Error('name')
      if (new Set(actions).size !== actions.length || actions.length > 3) throw new Error('actions')
    }
  }),
  'an htpasswd file is refused by its line': fc.asyncProperty(line, (text) =>
    onlyIntegrity(() => parseHtpasswd(text, 'htpasswd')),
  ),
  'a serve.yaml is refused by its line': fc.asyncProperty(yaml, (text) =>
    onlyIntegrity(() =>
      parseServeConfig(new TextEncoder().encode(text.slice(0, 4_000)), 'serve.yaml'),
    ),
  ),
  'patterns match in bounded time': fc.property(
    textOf('a', '*', '**', '/', '?', '['),
    textOf('a', '/', 'b'),
    (pattern, name) => {
      matchesRepository(pattern.slice(0, 1_000), name.slice(0, 255))
      matchesSubject(pattern.slice(0, 1_000), name.slice(0, 512))
      const rules = createRules([
        {
          repositories: [pattern.slice(0, 1_000)],
          who: [{ kind: 'anonymous' }],
          may: ['pull'],
        },
      ])
      const identity = { kind: 'user', name: 'a' } as const
      if (rules.may(identity, name.slice(0, 255), 'push')) throw new Error('push')
    },
  ),
  'an address is one': fc.property(address, (text) => {
    const request = fakeRequest({ headers: { 'x-forwarded-for': text } })
    const found = clientAddress(request, { trustedProxies: PROXIES })
    if (isIP(found) === 0) throw new Error(found)
    createLogInPace(() => 0).failed(text)
    parseNetworks([text])
  }),
  'an open server answers to this machine alone': fc.property(host, (text) => {
    const request = fakeRequest({ headers: { host: text } })
    const guard = createBrowserGuard({ isOpen: true, allowHosts: [] })
    if (guard(request) !== undefined) return
    const { hostname } = new URL(`http://${text}`)
    if (!/^(?:(?:.*\.)?localhost|127\.[\d.]+|\[::1\]|\[::ffff:7f.*\])$/.test(hostname)) {
      throw new Error(hostname)
    }
    if (/["\s,]/.test(clientOrigin(request) ?? '')) throw new Error('origin')
  }),
  'an event is one line': fc.property(fc.string({ unit: 'binary' }), (text) => {
    const lines: string[] = []
    const log = createLog({ write: (one) => lines.push(one) > 0, isAccessLogged: true })
    log.onLogIn({ address: text, name: text, outcome: 'wrong' })
    if (!/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*\n$/u.test(lines.join(''))) throw new Error('line')
    JSON.parse(lines.join(''))
  }),
}
