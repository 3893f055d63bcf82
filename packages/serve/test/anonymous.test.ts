/** No anonymous write beyond loopback: with every flag and every configuration. */
import { isS3loError } from '@s3lo/core'
import { expect, it } from 'vitest'
import { createAccessControl } from '../src/auth/access.ts'
import { makeSigningKey } from '../src/auth/signing-key.ts'
import { parseServeConfig } from '../src/config/serve-config.ts'
import { planServing, type ServePlan, type ServeSettings } from '../src/serve-plan.ts'
import { HASH } from './support/access.ts'
import { fakeRequest } from './support/requests.ts'

const USERS = 'users: { htpasswd: htpasswd }\n'
const ANYONE = "access: [{ repositories: '**', who: anonymous, may: [pull, push, delete] }]\n"
const ALICE = "access: [{ repositories: '**', who: alice, may: [pull, push, delete] }]\n"
const NAMED = "access: [{ repositories: '**', who: [anonymous, alice], may: [push] }]\n"
const OUTSIDE = 'external_url: https://registry.example\n'
const PROXY = 'trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n'

const CONFIGS = ['', USERS, OUTSIDE, PROXY, USERS + OUTSIDE + PROXY].flatMap((start) =>
  // A rule about a user needs users.
  ['', ANYONE, ...(start.includes(USERS) ? [ALICE, NAMED] : [])].map((access) => start + access),
)
const SETTINGS = ['127.0.0.1:0', '[::1]:0', '0.0.0.0:0', ':0', '192.0.2.7:0'].flatMap((listen) =>
  [undefined, 'pull', 'push'].flatMap((allowAnonymous) =>
    [
      {},
      { allowHost: ['registry.example'] },
      { externalUrl: 'https://registry.example' },
      { externalUrl: 'http://localhost' },
      { verifyKey: ['cosign.pub'] },
      { tlsCert: 'cert.pem', tlsKey: 'key.pem' },
    ].map((more) => ({ listen, allowAnonymous, readOnly: false, ...more })),
  ),
)

/** Who is no client of this machine: by the connection, or by what a proxy of this machine says. */
const CLIENTS = [
  { address: '192.0.2.1', headers: {} },
  { address: '::ffff:192.0.2.1', headers: {} },
  { address: 'fe80::1', headers: {} },
  { address: '192.0.2.1', headers: { 'x-forwarded-for': '127.0.0.1' } },
  { address: '192.0.2.1', headers: { 'x-forwarded-for': '::1', forwarded: 'for=127.0.0.1' } },
  { address: '192.0.2.1', headers: { 'x-real-ip': '127.0.0.1', host: 'localhost' } },
]
const BEHIND_PROXY = [
  { address: '127.0.0.1', headers: { 'x-forwarded-for': '192.0.2.1' } },
  { address: '127.0.0.1', headers: { 'x-forwarded-for': '127.0.0.1, 192.0.2.1' } },
  { address: '127.0.0.1', headers: { 'x-forwarded-for': '127.0.0.1, 192.0.2.1, 10.0.0.2' } },
]

/** `undefined` for what a server does not start with. */
async function planOf(settings: ServeSettings, text: string): Promise<ServePlan | undefined> {
  const config = await parseServeConfig(Buffer.from(text), 'serve.yaml')
  try {
    return planServing(settings, config)
  } catch (error) {
    if (isS3loError(error, 'USAGE')) return undefined
    throw error
  }
}

it('is granted by no flag, no rule and no header', async () => {
  const signingKey = makeSigningKey()
  let served = 0
  for (const text of CONFIGS) {
    for (const settings of SETTINGS) {
      const plan = await planOf(settings, text)
      if (!plan) continue
      served += 1
      const users = plan.canLogIn ? new Map([['alice', HASH]]) : new Map<string, string>()
      const { rules, externalUrl, trustedProxies } = plan
      const control = createAccessControl(
        { users, issuers: [], rules, signingKey },
        { externalUrl, trustedProxies },
      )
      for (const client of [...CLIENTS, ...(trustedProxies ? BEHIND_PROXY : [])]) {
        for (const action of ['push', 'delete'] as const) {
          const request = fakeRequest(client)
          const authorization = await control.authorize(request, { action, repository: 'app' })
          const what = JSON.stringify([settings, text, client])
          expect(authorization.kind, what).toBe('refused')
        }
      }
    }
  }
  // Most are refused as they start; those that are not have been asked.
  expect(served).toBeGreaterThan(100)
})
