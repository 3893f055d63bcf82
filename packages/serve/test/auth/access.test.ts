import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../src/answer/answer.ts'
import { type AccessControl, createAccessControl } from '../../src/auth/access.ts'
import type { AccessOptions, AccessSettings, LogIn } from '../../src/auth/access-state.ts'
import { parseHtpasswd } from '../../src/auth/htpasswd.ts'
import type { Access, Authorization } from '../../src/auth/principal.ts'
import { OPEN_RULES } from '../../src/auth/rules.ts'
import { makeSigningKey } from '../../src/auth/signing-key.ts'
import { HASH, ISSUER, RULES } from '../support/access.ts'
import { startIssuer, type TestIssuer } from '../support/oidc-issuer.ts'
import { basic, type FakeRequest, fakeRequest } from '../support/requests.ts'

const FAR = '192.0.2.1'
const SETTINGS: AccessSettings = {
  users: parseHtpasswd(`alice:${HASH}\nadmin:${HASH}\n`, 'htpasswd'),
  issuers: [{ issuer: ISSUER, audience: ['s3lo'], jwks: { from: 'discovery' } }],
  rules: RULES,
  signingKey: makeSigningKey(),
}
const PULL_TEAM: Access = { action: 'pull', repository: 'team/app' }
const PUSH_TEAM: Access = { action: 'push', repository: 'team/app' }
const PULL_PUBLIC: Access = { action: 'pull', repository: 'public/app' }

interface Setup {
  readonly control: AccessControl
  readonly clock: { now: number }
  readonly issuer: TestIssuer
  readonly logIns: LogIn[]
  readonly guesses: string[]
}

async function setUp(
  settings: Partial<AccessSettings> = {},
  options: AccessOptions = {},
): Promise<Setup> {
  const clock = { now: 1_700_000_000_000 }
  const now = () => clock.now
  const issuer = await startIssuer(ISSUER, now)
  const logIns: LogIn[] = []
  const guesses: string[] = []
  const control = createAccessControl(
    { ...SETTINGS, ...settings },
    {
      now,
      fetch: issuer.fetch,
      onLogIn: (logIn) => logIns.push(logIn),
      verifyPassword: (password) => {
        guesses.push(password)
        return Promise.resolve(password === 'secret')
      },
      ...options,
    },
  )
  return { control, clock, issuer, logIns, guesses }
}

function ask(
  { control }: Setup,
  access: Access | undefined,
  authorization?: string,
  more: FakeRequest = {},
): Promise<Authorization> {
  const { headers, ...rest } = more
  const request = fakeRequest({
    address: FAR,
    headers: { ...headers, ...(authorization !== undefined && { authorization }) },
    ...rest,
  })
  return Promise.resolve(control.authorize(request, access))
}

function askToken(
  { control }: Setup,
  query: string,
  authorization?: string,
  more: FakeRequest = {},
): Promise<Answer> {
  const { headers, ...rest } = more
  const request = fakeRequest({
    address: FAR,
    url: `/token?${query}`,
    headers: { ...headers, ...(authorization !== undefined && { authorization }) },
    ...rest,
  })
  return Promise.resolve(control.tokenPage(request))
}

function postToken(setup: Setup, form: Readonly<Record<string, string>>): Promise<Answer> {
  const body = new URLSearchParams(form).toString()
  return askToken(setup, '', undefined, { method: 'POST', url: '/token', body })
}

function parseBody({ body }: Pick<Answer, 'body'>) {
  if (typeof body !== 'string') throw new Error('the answer has no text')
  return JSON.parse(body)
}

function document(answer: Answer): Record<string, string> {
  return parseBody(answer)
}

async function tokenFor(setup: Setup, scope: string, authorization?: string): Promise<string> {
  const answer = await askToken(setup, new URLSearchParams({ scope }).toString(), authorization)
  return `Bearer ${document(answer)['token']}`
}

/** What an answer says, without what differs from request to request. */
function refusal(authorization: Authorization): Record<string, unknown> {
  if (authorization.kind === 'granted') return { granted: authorization.principal.name }
  const { status, headers, body } = authorization.answer
  return {
    status,
    challenge: headers?.['www-authenticate'],
    code: parseBody({ body }).errors[0].code,
  }
}

describe('a client without credentials', () => {
  it('pulls what the rules allow, and is challenged for the rest', async () => {
    const setup = await setUp()
    expect(refusal(await ask(setup, PULL_PUBLIC))).toEqual({ granted: 'anonymous' })
    expect(refusal(await ask(setup, PUSH_TEAM))).toEqual({
      status: 401,
      code: 'UNAUTHORIZED',
      challenge:
        'Bearer realm="http://registry.example/token",service="s3lo",scope="repository:team/app:pull,push"',
    })
  })

  it('is challenged at /v2/, so that a log-in is one', async () => {
    const setup = await setUp()
    expect(refusal(await ask(setup, undefined))).toEqual({
      status: 401,
      code: 'UNAUTHORIZED',
      challenge: 'Bearer realm="http://registry.example/token",service="s3lo"',
    })
  })

  it('gets a token that allows what it may without one', async () => {
    const setup = await setUp()
    const token = await tokenFor(
      setup,
      'repository:public/app:pull,push repository:team/app:pull registry:catalog:*',
    )
    expect(decodeJwt(token.slice(7))['access']).toEqual([
      { type: 'repository', name: 'public/app', actions: ['pull'] },
    ])
    expect(refusal(await ask(setup, undefined, token))).toEqual({ granted: 'anonymous' })
    expect(refusal(await ask(setup, PULL_PUBLIC, token))).toEqual({ granted: 'anonymous' })
    expect(refusal(await ask(setup, PULL_TEAM, token))).toMatchObject({ status: 401 })
  })

  it('changes nothing beyond the machine itself, however the rules are', async () => {
    const setup = await setUp({ rules: OPEN_RULES })
    for (const action of ['push', 'delete'] as const) {
      const access = { action, repository: 'app' }
      expect(refusal(await ask(setup, access))).toMatchObject({ status: 401 })
      expect(
        refusal(await ask(setup, access, undefined, { address: '::ffff:10.0.0.1' })),
      ).toMatchObject({ status: 401 })
      for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
        expect(refusal(await ask(setup, access, undefined, { address }))).toEqual({
          granted: 'anonymous',
        })
      }
    }
    const token = await tokenFor(setup, 'repository:app:push')
    expect(refusal(await ask(setup, { action: 'push', repository: 'app' }, token))).toMatchObject({
      status: 401,
    })
  })
})

describe('a user', () => {
  it('is known by Basic, with all the rights of the rules', async () => {
    const setup = await setUp()
    const alice = basic('alice', 'secret')
    expect(refusal(await ask(setup, undefined, alice))).toEqual({ granted: 'alice' })
    expect(refusal(await ask(setup, PUSH_TEAM, alice))).toEqual({ granted: 'alice' })
    expect(refusal(await ask(setup, PULL_PUBLIC, alice))).toEqual({ granted: 'alice' })
    const remove: Access = { action: 'delete', repository: 'team/app' }
    expect(refusal(await ask(setup, remove, alice))).toMatchObject({ status: 403, code: 'DENIED' })
  })

  it('is answered alike of repositories that are forbidden and unknown', async () => {
    const setup = await setUp()
    const answers = await Promise.all(
      ['secret', 'no-such'].map((repository) =>
        ask(setup, { action: 'pull', repository }, basic('alice', 'secret')),
      ),
    )
    expect(answers[0]).toEqual(answers[1])
  })

  it('is refused by a wrong password everywhere, even where none is needed', async () => {
    const setup = await setUp()
    const wrong = basic('alice', 'wrong')
    const everywhere = [undefined, PULL_PUBLIC, PUSH_TEAM]
    for (const access of everywhere) {
      expect(refusal(await ask(setup, access, wrong))).toMatchObject({ status: 401 })
    }
    expect(await askToken(setup, 'service=s3lo', wrong)).toMatchObject({ status: 401 })
    expect(await askToken(setup, 'scope=repository:public/app:pull', wrong)).toMatchObject({
      status: 401,
    })
  })

  it('logs in as docker does: a token, then /v2/ with it', async () => {
    const setup = await setUp()
    const answer = await askToken(
      setup,
      'account=alice&client_id=docker&offline_token=true&service=s3lo',
      basic('alice', 'secret'),
    )
    expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    const { token, access_token: same, refresh_token: refresh } = document(answer)
    expect(same).toBe(token)
    expect(refusal(await ask(setup, undefined, `Bearer ${token}`))).toEqual({ granted: 'alice' })
    const again = await postToken(setup, {
      grant_type: 'refresh_token',
      refresh_token: refresh ?? '',
      service: 's3lo',
      scope: 'repository:team/app:pull,push',
    })
    const renewed = `Bearer ${document(again)['access_token']}`
    expect(refusal(await ask(setup, PUSH_TEAM, renewed))).toEqual({ granted: 'alice' })
  })

  it('has no refresh token any more once the password has changed', async () => {
    const setup = await setUp()
    const first = await postToken(setup, {
      grant_type: 'password',
      username: 'alice',
      password: 'secret',
      access_type: 'offline',
    })
    const form = {
      grant_type: 'refresh_token',
      refresh_token: document(first)['refresh_token'] ?? '',
    }
    expect(await postToken(setup, form)).toMatchObject({ status: 200 })
    const users = parseHtpasswd(`alice:${HASH.replace('3Kx', '4Kx')}`, 'htpasswd')
    setup.control.replace({ ...SETTINGS, users })
    expect(await postToken(setup, form)).toMatchObject({ status: 401 })
    setup.control.replace({ ...SETTINGS, users: new Map() })
    expect(await postToken(setup, form)).toMatchObject({ status: 401 })
  })

  it('loses what the rules take away, with a token that is still valid', async () => {
    const setup = await setUp()
    const token = await tokenFor(setup, 'repository:team/app:pull', basic('alice', 'secret'))
    expect(refusal(await ask(setup, PULL_TEAM, token))).toEqual({ granted: 'alice' })
    setup.control.replace({ ...SETTINGS, rules: [] })
    expect(refusal(await ask(setup, PULL_TEAM, token))).toMatchObject({ status: 403 })
  })
})

describe('a token', () => {
  it('allows what it was issued for only, and names what it lacks', async () => {
    const setup = await setUp()
    const token = await tokenFor(setup, 'repository:team/app:pull', basic('admin', 'secret'))
    expect(refusal(await ask(setup, PULL_TEAM, token))).toEqual({ granted: 'admin' })
    expect(refusal(await ask(setup, PUSH_TEAM, token))).toMatchObject({
      status: 401,
      challenge: expect.stringContaining(
        'scope="repository:team/app:pull,push",error="insufficient_scope"',
      ),
    })
    const other: Access = { action: 'pull', repository: 'team/other' }
    expect(refusal(await ask(setup, other, token))).toMatchObject({ status: 401 })
    expect(refusal(await ask(setup, { action: 'catalog' }, token))).toMatchObject({ status: 401 })
  })

  it('gives no view of other repositories, and mounts from none', async () => {
    const setup = await setUp()
    const granted = await ask(
      setup,
      PULL_TEAM,
      await tokenFor(setup, 'repository:team/app:pull', basic('admin', 'secret')),
    )
    if (granted.kind !== 'granted') throw new Error('the token is refused')
    const { principal } = granted
    expect(principal.pullsAll).toBe(false)
    expect(principal.may(PULL_TEAM)).toBe(true)
    expect(principal.may({ action: 'pull', repository: 'team/other' })).toBe(false)
    const direct = await ask(setup, PULL_TEAM, basic('admin', 'secret'))
    expect(direct).toMatchObject({ principal: { pullsAll: true } })
  })

  it('cannot be exchanged for another of a wider scope', async () => {
    const setup = await setUp()
    const token = await tokenFor(setup, 'repository:team/app:pull', basic('admin', 'secret'))
    const wider = await askToken(setup, 'scope=repository:secret:pull,push', token)
    expect(wider).toMatchObject({ status: 401 })
  })

  it('asks again once it has expired', async () => {
    const setup = await setUp()
    const token = await tokenFor(setup, 'repository:team/app:pull', basic('alice', 'secret'))
    setup.clock.now += 3_600_000
    expect(refusal(await ask(setup, PULL_TEAM, token))).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('error="invalid_token"'),
    })
  })

  it('has the scopes of a mount, and the catalog', async () => {
    const setup = await setUp()
    const admin = basic('admin', 'secret')
    const query = 'scope=repository:a:pull&scope=repository:b:pull,push&scope=registry:catalog:*'
    const token = `Bearer ${document(await askToken(setup, query, admin))['token']}`
    const pushed = await ask(setup, { action: 'push', repository: 'b' }, token)
    if (pushed.kind !== 'granted') throw new Error('the token is refused')
    expect(pushed.principal.may({ action: 'pull', repository: 'a' })).toBe(true)
    expect(pushed.principal.may({ action: 'push', repository: 'a' })).toBe(false)
    expect(refusal(await ask(setup, { action: 'catalog' }, token))).toEqual({ granted: 'admin' })
  })

  it('is not issued for another registry, for too many scopes, or by another method', async () => {
    const setup = await setUp()
    const alice = basic('alice', 'secret')
    expect(await askToken(setup, 'service=other.example', alice)).toMatchObject({ status: 400 })
    const many = Array.from({ length: 100 }, (_, i) => `scope=repository:team/a${i}:pull`).join('&')
    expect(await askToken(setup, many, alice)).toMatchObject({ status: 400 })
    const long = `scope=repository:${'a'.repeat(20_000)}:pull`
    expect(await askToken(setup, long, alice)).toMatchObject({ status: 400 })
    expect(await askToken(setup, '', alice, { method: 'PUT' })).toMatchObject({ status: 405 })
    expect(await postToken(setup, { grant_type: 'authorization_code' })).toMatchObject({
      status: 400,
    })
    expect(await postToken(setup, { grant_type: 'password' })).toMatchObject({ status: 400 })
    expect(await postToken(setup, { grant_type: 'refresh_token' })).toMatchObject({ status: 400 })
    expect(await postToken(setup, { scope: 'a'.repeat(200_000) })).toMatchObject({ status: 400 })
    expect(setup.guesses).toEqual([])
  })

  it.each([
    'repository:team/app:constructor,__proto__',
    'repository:team/app',
    'repository::pull',
    'repository(plugin):team/app:pull',
    'repository:team/app:5000:pull',
    'registry:catalog:pull',
    'repository:catalog:*x',
    'repository:**:pull',
    'repository:team/*:delete',
    'repository:team/../secret:pull',
  ])('has no grant for the scope %j', async (scope) => {
    const setup = await setUp()
    const token = await tokenFor(setup, scope, basic('alice', 'secret'))
    const grants = decodeJwt(token.slice(7))['access'] as { name: string; actions: unknown[] }[]
    expect(grants.flatMap(({ actions }) => actions)).toEqual([])
  })
})

describe('a token of an OIDC issuer', () => {
  it('is a password or a bearer', async () => {
    const setup = await setUp()
    const token = await setup.issuer.sign({ sub: 'repo:org/app:ref:refs/heads/main' })
    const granted = { granted: 'oidc:repo:org/app:ref:refs/heads/main' }
    expect(refusal(await ask(setup, PUSH_TEAM, `Bearer ${token}`))).toEqual(granted)
    expect(refusal(await ask(setup, PUSH_TEAM, basic('ci', token)))).toEqual(granted)
    const own = await tokenFor(setup, 'repository:team/app:pull,push', basic('ci', token))
    expect(refusal(await ask(setup, PUSH_TEAM, own))).toEqual(granted)
    expect(refusal(await ask(setup, undefined, own))).toEqual(granted)
    expect(setup.guesses).toEqual([])
    const answer = await askToken(setup, 'offline_token=true', `Bearer ${token}`)
    expect(document(answer)).not.toHaveProperty('refresh_token')
  })

  it('does not pass for a user by the name that comes with it', async () => {
    const setup = await setUp()
    const token = await setup.issuer.sign({ sub: 'admin' })
    const access: Access = { action: 'delete', repository: 'app' }
    expect(refusal(await ask(setup, access, basic('admin', token)))).toMatchObject({ status: 403 })
    expect(refusal(await ask(setup, access, `Bearer ${token}`))).toMatchObject({ status: 403 })
  })

  it('is neither right nor wrong while the issuer does not answer', async () => {
    const setup = await setUp()
    setup.issuer.answer = () => new Response('', { status: 503 })
    const token = await setup.issuer.sign({ sub: 'repo:org/app:x' })
    const answer = await ask(setup, PUSH_TEAM, `Bearer ${token}`)
    expect(answer).toMatchObject({ answer: { status: 503, headers: { 'retry-after': 30 } } })
  })
})

describe('wrong log-ins', () => {
  it('slow down no others at the address while they are the same one again', async () => {
    const setup = await setUp()
    for (let i = 0; i < 50; i++) {
      expect(await askToken(setup, '', basic('alice', 'an old password'))).toMatchObject({
        status: 401,
      })
    }
    expect(setup.guesses).toHaveLength(1)
    expect(await askToken(setup, '', basic('alice', 'secret'))).toMatchObject({ status: 200 })
  })

  it('are slowed as well where they come all at once', async () => {
    const setup = await setUp()
    const guesses = Array.from({ length: 60 }, (_, i) => basic('alice', `guess ${i}`))
    const answers = await Promise.all(guesses.map((guess) => askToken(setup, '', guess)))
    // Two are looked at beside each other.
    expect(setup.guesses.length).toBeGreaterThanOrEqual(10)
    expect(setup.guesses.length).toBeLessThanOrEqual(11)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]))
    expect(answers.at(-1)?.headers?.['retry-after']).toBeGreaterThan(0)
  })

  it('are slowed by address: the eleventh is not looked at, right or wrong', async () => {
    const setup = await setUp()
    for (let i = 0; i < 10; i++) await askToken(setup, '', basic('alice', `guess ${i}`))
    const slowed = await askToken(setup, '', basic('alice', 'secret'))
    expect(slowed).toMatchObject({ status: 429, headers: { 'retry-after': 6 } })
    expect(refusal(await ask(setup, PUSH_TEAM, basic('alice', 'secret')))).toMatchObject({
      status: 429,
      code: 'TOOMANYREQUESTS',
    })
    expect(setup.guesses).toHaveLength(10)
    const other = { address: '192.0.2.2' }
    expect(await askToken(setup, '', basic('alice', 'secret'), other)).toMatchObject({
      status: 200,
    })
    expect(setup.logIns.map(({ outcome }) => outcome)).toEqual([
      ...Array.from({ length: 10 }, () => 'wrong'),
      'slowed',
      'slowed',
      'right',
    ])
    expect(JSON.stringify(setup.logIns)).not.toContain('guess')
    expect(JSON.stringify(setup.logIns)).not.toContain('secret')
  })

  it.each([
    'Basic',
    'Basic !!!',
    `Basic ${Buffer.from('no colon').toString('base64')}`,
    'Negotiate abc',
    'Bearer',
    'Bearer a b',
    `Bearer ${'x'.repeat(100_000)}`,
    `Basic ${'x'.repeat(100_000)}`,
    'Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJzM2xvIn0.',
  ])('are answered alike for the header %.40s', async (header) => {
    const setup = await setUp()
    expect(refusal(await ask(setup, PULL_PUBLIC, header))).toMatchObject({ status: 401 })
    expect(setup.guesses).toEqual([])
  })
})

describe('a registry without users and issuers', () => {
  const open = { users: new Map(), issuers: [], rules: OPEN_RULES }
  const near = { address: '127.0.0.1' }

  it('asks no client for credentials, and passes over those that it gets', async () => {
    const setup = await setUp(open)
    for (const credentials of [undefined, basic('alice', 'wrong'), 'Bearer x.y.z']) {
      expect(refusal(await ask(setup, undefined, credentials, near))).toEqual({
        granted: 'anonymous',
      })
      expect(refusal(await ask(setup, PUSH_TEAM, credentials, near))).toEqual({
        granted: 'anonymous',
      })
    }
    expect(setup.logIns).toEqual([])
  })

  it('denies without a challenge', async () => {
    const setup = await setUp({ ...open, rules: RULES })
    expect(refusal(await ask(setup, PULL_PUBLIC))).toEqual({ granted: 'anonymous' })
    expect(refusal(await ask(setup, PUSH_TEAM))).toMatchObject({ status: 403, code: 'DENIED' })
  })
})

describe('the realm of a challenge', () => {
  it.each<[string, FakeRequest, AccessOptions, string]>([
    ['the host', { headers: { host: 'r.example:5732' } }, {}, 'http://r.example:5732/token'],
    ['the host over TLS', { isSecure: true }, {}, 'https://registry.example/token'],
    ['an address', { headers: { host: '[::1]:5732' } }, {}, 'http://[::1]:5732/token'],
    [
      'the external address',
      { headers: { host: 'pod:5732' } },
      { externalUrl: 'https://r.example' },
      'https://r.example/token',
    ],
  ])('is at %s', async (_what, request, options, realm) => {
    const setup = await setUp({}, options)
    const answer = await ask(setup, undefined, undefined, request)
    expect(refusal(answer)['challenge']).toContain(`realm="${realm}"`)
  })

  it.each(['a"b', 'a,b', 'user@evil', 'a b', '', '[::1', 'a/b', 'a\\b'])(
    'is not made of the host %j',
    async (host) => {
      const setup = await setUp()
      const answer = await ask(setup, undefined, undefined, { headers: { host } })
      expect(refusal(answer)['challenge']).toBe('Basic realm="s3lo"')
    },
  )
})
