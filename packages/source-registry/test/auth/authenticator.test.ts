import { isS3loError, S3loError } from '@s3lo/core/plugin'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Authenticator, type AuthenticatorOptions } from '../../src/auth/authenticator.ts'
import type { Credential, CredentialStore } from '../../src/auth/credential.ts'
import type { HttpFetch } from '../../src/http.ts'
import { codeOf } from '../code-of.ts'
import { TokenService } from './token-service.ts'

const PASSWORD: Credential = {
  kind: 'password',
  username: 'alice',
  password: 's3cret:with:colons',
  source: 'a test',
}
const BASIC = `Basic ${Buffer.from('alice:s3cret:with:colons').toString('base64')}`
const PULL = ['repository:team/app:pull']

let service: TokenService
let now = 0

beforeEach(async () => {
  service = await TokenService.start()
  now = 1_800_000_000_000
})

afterEach(() => service.stop())

/** A plain client: no redirects, no retries. */
const plainFetch: HttpFetch = async (url, { signal, ...init }) => {
  const answer = await fetch(url, { ...init, redirect: 'manual', ...(signal ? { signal } : {}) })
  const text = await answer.text()
  return {
    status: answer.status,
    headers: { get: (name) => answer.headers.get(name) ?? undefined },
    text(limit) {
      if (text.length <= limit) return Promise.resolve(text)
      return Promise.reject(new S3loError('INTEGRITY', 'too large'))
    },
  }
}

function storeOf(...credentials: readonly (Credential | undefined)[]): CredentialStore {
  let next = 0
  return { find: () => Promise.resolve(credentials[Math.min(next++, credentials.length - 1)]) }
}

function authenticatorFor(
  credential: Credential | undefined,
  options: Partial<AuthenticatorOptions> = {},
): Authenticator {
  return new Authenticator({
    host: service.host,
    plainHttp: true,
    env: {},
    fetch: plainFetch,
    credentials: storeOf(credential),
    clock: () => now,
    ...options,
  })
}

/** Asks as the client does: anonymously, and again after the challenge. */
async function authorize(
  authenticator: Authenticator,
  scopes: readonly string[] = PULL,
): Promise<string | undefined> {
  const known = await authenticator.authorization(scopes)
  if (known !== undefined) return known
  await authenticator.challenged(service.challenge, scopes)
  return authenticator.authorization(scopes)
}

describe('Authenticator', () => {
  it('sends nothing before the registry asks', async () => {
    const find = vi.fn(() => Promise.resolve(PASSWORD))
    const authenticator = authenticatorFor(undefined, { credentials: { find } })
    expect(await authenticator.authorization(PULL)).toBeUndefined()
    expect(find).not.toHaveBeenCalled()
  })

  it('answers a Basic challenge with name and password', async () => {
    service.challenge = 'Basic realm="a registry"'
    const authenticator = authenticatorFor(PASSWORD)
    expect(await authenticator.challenged(service.challenge, PULL)).toBe(true)
    expect(await authenticator.authorization(PULL)).toBe(BASIC)
  })

  it('has no answer to a Basic challenge without credentials', async () => {
    const authenticator = authenticatorFor(undefined)
    expect(await authenticator.challenged('Basic realm="a registry"', PULL)).toBe(false)
  })

  it('offers its password, or its token, where nothing is asked for, and keeps to what is taken', async () => {
    const token: Credential = { kind: 'registry-token', token: 'given', source: 'a test' }
    for (const [credential, authorization] of [
      [PASSWORD, BASIC],
      [token, 'Bearer given'],
    ] as const) {
      const authenticator = authenticatorFor(credential)
      const offer = await authenticator.unprompted(PULL)
      expect(offer?.authorization).toBe(authorization)
      expect(await authenticator.authorization(PULL)).toBeUndefined()
      offer?.accepted()
      expect(await authenticator.authorization(PULL)).toBe(authorization)
    }
  })

  it('has nothing to offer without credentials, and nothing twice', async () => {
    expect(await authenticatorFor(undefined).unprompted(PULL)).toBeUndefined()
    const authenticator = authenticatorFor(PASSWORD)
    await authenticator.challenged('Basic realm="x"', PULL)
    expect(await authenticator.unprompted(PULL)).toBeUndefined()
  })

  it('offers a new token in place of one that may be too old', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    expect(await authenticator.unprompted(PULL)).toBeUndefined()
    now += 30_000
    expect((await authenticator.unprompted(PULL))?.authorization).toBe('Bearer a-token')
    expect(service.calls).toHaveLength(2)
  })

  it('has no answer to a scheme that it does not know', async () => {
    expect(await authenticatorFor(PASSWORD).challenged('Negotiate', PULL)).toBe(false)
    expect(await authenticatorFor(PASSWORD).challenged('Bearer', PULL)).toBe(false)
  })

  it('gets a token with name and password, for the scopes of the call', async () => {
    expect(await authorize(authenticatorFor(PASSWORD))).toBe('Bearer a-token')
    expect(service.calls).toMatchObject([
      { method: 'GET', authorization: BASIC, scopes: PULL, service: 'a registry' },
    ])
  })

  it('gets an anonymous token without credentials', async () => {
    expect(await authorize(authenticatorFor(undefined))).toBe('Bearer a-token')
    expect(service.calls).toMatchObject([{ method: 'GET', authorization: undefined }])
  })

  it('prefers tokens where the registry takes both', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authenticator.challenged(`Basic realm="x", ${service.challenge}`, PULL)
    expect(await authenticator.authorization(PULL)).toBe('Bearer a-token')
  })

  it('asks also for what the challenge names', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    const challenge = `${service.challenge},scope="repository:team/app:push repository:b:pull"`
    await authenticator.challenged(challenge, PULL)
    expect(service.calls[0]?.scopes).toEqual(['repository:b:pull', 'repository:team/app:pull,push'])
    now += 3_600_000
    await authenticator.authorization(PULL)
    expect(service.calls[1]?.scopes).toEqual(service.calls[0]?.scopes)
  })

  it('asks again at once when the registry wants more than the token allows', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    const wider = `${service.challenge},scope="repository:team/app:pull,push"`
    await authenticator.challenged(wider, PULL)
    expect(service.calls.map(({ scopes }) => scopes)).toEqual([
      PULL,
      ['repository:team/app:pull,push'],
    ])
  })

  it('keeps tokens by their scopes', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    await authorize(authenticator)
    await authorize(authenticator, ['repository:team/app:push', ...PULL])
    await authorize(authenticator, [...PULL, 'repository:team/app:push'])
    expect(service.calls.map(({ scopes }) => scopes)).toEqual([
      PULL,
      ['repository:team/app:pull,push'],
    ])
  })

  it('gets a new token before the old one expires', async () => {
    service.answer = () => [200, { token: `t${service.calls.length}`, expires_in: 300 }]
    const authenticator = authenticatorFor(PASSWORD)
    expect(await authorize(authenticator)).toBe('Bearer t1')
    now += 289_000
    expect(await authorize(authenticator)).toBe('Bearer t1')
    now += 1000
    expect(await authorize(authenticator)).toBe('Bearer t2')
  })

  it('takes a token for 60 seconds where nothing else is said', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    now += 49_000
    await authorize(authenticator)
    expect(service.calls).toHaveLength(1)
    now += 2000
    await authorize(authenticator)
    expect(service.calls).toHaveLength(2)
  })

  it.each([-1, 0, 1e99, null, 'soon'])('uses a token once with a life of %j', async (life) => {
    service.answer = () => [200, { access_token: 'a-token', expires_in: life }]
    expect(await authorize(authenticatorFor(PASSWORD))).toBe('Bearer a-token')
    expect(service.calls).toHaveLength(1)
  })

  it.each([0, -1])('takes a life of %i for one that is not said', async (life) => {
    service.answer = () => [200, { token: 'a-token', expires_in: life, refresh_token: '' }]
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    now += 3000
    await authorize(authenticator)
    expect(service.calls).toHaveLength(1)
  })

  it('asks the registry itself for a token where only a path is named', async () => {
    service.challenge = 'Bearer realm="/token",service=unquoted'
    expect(await authorize(authenticatorFor(PASSWORD))).toBe('Bearer a-token')
    expect(service.calls[0]?.service).toBe('unquoted')
  })

  it('gets one new token when the registry refuses an old one', async () => {
    service.answer = () => [200, { token: `t${service.calls.length}`, expires_in: 300 }]
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    now += 60_000
    expect(await authenticator.challenged(service.challenge, PULL)).toBe(true)
    expect(await authenticator.challenged(service.challenge, PULL)).toBe(true)
    expect(await authenticator.authorization(PULL)).toBe('Bearer t2')
    expect(service.calls).toHaveLength(2)
  })

  it('asks once for callers at the same time', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    const callers = Array.from({ length: 20 }, () => authorize(authenticator))
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['Bearer a-token']))
    expect(service.calls).toHaveLength(1)
  })

  it('lets one caller leave while the others wait', async () => {
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    service.answer = async () => {
      asked.resolve()
      await gate.promise
      return [200, { token: 'a-token' }]
    }
    const authenticator = authenticatorFor(PASSWORD)
    const controller = new AbortController()
    const leaving = authenticator.challenged(service.challenge, PULL, controller.signal)
    const staying = authenticator.challenged(service.challenge, PULL)
    await asked.promise
    controller.abort(new S3loError('ABORTED', 'enough'))
    expect(await codeOf(leaving)).toBe('ABORTED')
    gate.resolve()
    expect(await staying).toBe(true)
    expect(service.calls).toHaveLength(1)
  })

  it('stops asking when the last caller leaves', async () => {
    const asked = Promise.withResolvers<AbortSignal>()
    const authenticator = authenticatorFor(PASSWORD, {
      fetch: (_url, { signal }) => {
        if (signal) asked.resolve(signal)
        return new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
        })
      },
    })
    const controller = new AbortController()
    const leaving = authenticator.challenged(service.challenge, PULL, controller.signal)
    const signal = await asked.promise
    controller.abort(new S3loError('ABORTED', 'enough'))
    expect(await codeOf(leaving)).toBe('ABORTED')
    expect(signal.aborted).toBe(true)
  })

  it('buys tokens with an identity token, and continues with the one it gets for it', async () => {
    service.answer = () => [
      200,
      { access_token: 'a-token', refresh_token: `r${service.calls.length}`, expires_in: 60 },
    ]
    const credential: Credential = { kind: 'identity-token', token: 'r0', source: 'a test' }
    const authenticator = authenticatorFor(credential)
    await authorize(authenticator)
    now += 60_000
    await authorize(authenticator)
    expect(service.calls.map(({ method, form }) => [method, Object.fromEntries(form)])).toEqual(
      ['r0', 'r1'].map((token) => [
        'POST',
        {
          grant_type: 'refresh_token',
          refresh_token: token,
          client_id: 's3lo',
          service: 'a registry',
          scope: PULL[0],
        },
      ]),
    )
  })

  it('posts the password to a token service that has no GET', async () => {
    service.answer = ({ method }) => (method === 'POST' ? [200, { token: 'a-token' }] : [405, ''])
    expect(await authorize(authenticatorFor(PASSWORD))).toBe('Bearer a-token')
    const form = service.calls[1]?.form
    expect([form?.get('grant_type'), form?.get('username')]).toEqual(['password', 'alice'])
  })

  it('sends a registry token as it is, to no token service', async () => {
    const credential: Credential = { kind: 'registry-token', token: 'mine', source: 'a test' }
    expect(await authorize(authenticatorFor(credential))).toBe('Bearer mine')
    expect(service.calls).toHaveLength(0)
  })

  it('asks again for credentials that expire', async () => {
    service.challenge = 'Basic realm="x"'
    const old: Credential = { ...PASSWORD, password: 'old', expiresAt: new Date(now + 60_000) }
    const authenticator = authenticatorFor(undefined, { credentials: storeOf(old, PASSWORD) })
    expect(await authorize(authenticator)).not.toBe(BASIC)
    now += 51_000
    expect(await authorize(authenticator)).toBe(BASIC)
  })

  it('looks again for a password that is refused later', async () => {
    service.challenge = 'Basic realm="x"'
    const old: Credential = { ...PASSWORD, password: 'old' }
    const authenticator = authenticatorFor(undefined, { credentials: storeOf(old, PASSWORD) })
    expect(await authorize(authenticator)).not.toBe(BASIC)
    now += 5000
    await authenticator.challenged(service.challenge, PULL)
    expect(await authenticator.authorization(PULL)).toBe(BASIC)
  })

  it.each([401, 403, 400])(
    'says in one line which registry refuses the credentials (%i)',
    async (status) => {
      service.answer = () => [status, { details: 'incorrect username or password' }]
      const error: unknown = await authorize(authenticatorFor(PASSWORD)).catch((caught) => caught)
      if (!isS3loError(error, 'UNAUTHORIZED')) throw error
      expect(error.message).toContain(service.host)
      expect(error.message).not.toContain('\n')
      expect(error.hint).toBe(`s3lo login ${service.host}`)
      expect(JSON.stringify([error.message, error.cause])).not.toContain('s3cret')
    },
  )

  it('says whose password a registry refuses that takes passwords itself', async () => {
    service.challenge = 'Basic realm="x"'
    const authenticator = authenticatorFor(PASSWORD)
    expect(authenticator.refusal(PULL)).toBeUndefined()
    await authorize(authenticator)
    expect(authenticator.refusal(PULL)).toMatchObject({
      code: 'UNAUTHORIZED',
      message: `the registry ${service.host} does not accept the credentials from a test`,
    })
  })

  it('blames no password for a token that does not allow enough', async () => {
    const authenticator = authenticatorFor(PASSWORD)
    await authorize(authenticator)
    expect(authenticator.refusal(PULL)).toBeUndefined()
  })

  it('says that a login is needed when there is no anonymous token', async () => {
    service.answer = () => [403, '']
    expect(await codeOf(authorize(authenticatorFor(undefined)))).toBe('UNAUTHORIZED')
  })

  it.each([
    ['no JSON, with a secret', 'secret-of-the-service', 'INTEGRITY'],
    ['no object', '[]', 'INTEGRITY'],
    ['no token', {}, 'INTEGRITY'],
    ['a token of another type', { token: 1 }, 'INTEGRITY'],
    ['an empty token', { token: '' }, 'INTEGRITY'],
    ['a line break in the token', { token: 'a\r\nx-evil: 1' }, 'INTEGRITY'],
    ['a line break in the refresh token', { token: 'a', refresh_token: 'b\n' }, 'INTEGRITY'],
    ['a token that is far too long', { token: 'a'.repeat(100_000) }, 'INTEGRITY'],
    ['a body that is far too long', ' '.repeat(1024 * 1024 + 1), 'INTEGRITY'],
  ])('refuses an answer with %s', async (_, body, code) => {
    service.answer = () => [200, body]
    const error: unknown = await authorize(authenticatorFor(PASSWORD)).catch((caught) => caught)
    if (!isS3loError(error)) throw error
    expect(error.code).toBe(code)
    expect(error.message + String(error.cause)).not.toContain('secret-of-the-service')
  })

  it('follows no redirect of the token service', async () => {
    service.answer = () => [302, '']
    expect(await codeOf(authorize(authenticatorFor(PASSWORD)))).toBe('UNSUPPORTED')
  })

  it.each([
    ['https://169.254.169.254/token', 'FORBIDDEN'],
    ['https://2852039166/token', 'FORBIDDEN'],
    ['https://[::ffff:169.254.169.254]/token', 'FORBIDDEN'],
    ['https://[fe80::1]/token', 'FORBIDDEN'],
    ['http://auth.example.com/token', 'FORBIDDEN'],
    ['https://alice:secret@auth.example.com/token', 'INTEGRITY'],
    ['file:///etc/passwd', 'INTEGRITY'],
    ['token', 'INTEGRITY'],
    [`https://auth.example.com/${'a'.repeat(5000)}`, 'INTEGRITY'],
  ])('asks for no token at %s', async (realm, code) => {
    const asked = vi.fn<HttpFetch>()
    const authenticator = authenticatorFor(PASSWORD, { plainHttp: false, fetch: asked })
    expect(await codeOf(authenticator.challenged(`Bearer realm="${realm}"`, PULL))).toBe(code)
    expect(asked).not.toHaveBeenCalled()
  })

  it('sends the password nowhere but where the registry says', async () => {
    const asked: string[] = []
    const authenticator = authenticatorFor(PASSWORD, {
      plainHttp: false,
      fetch: (url, { headers }) => {
        asked.push(`${url.origin} ${headers['authorization'] ?? ''}`)
        return plainFetch(new URL(service.realm), { method: 'GET', headers: {} })
      },
    })
    const challenge = 'Bearer realm="https://auth.example.com/token",realm="https://evil.example"'
    await authenticator.challenged(challenge, PULL)
    expect(asked).toEqual([`https://auth.example.com ${BASIC}`])
  })

  it('passes on what goes wrong while credentials are looked for', async () => {
    const find = (): Promise<undefined> => Promise.reject(new S3loError('IO', 'no file'))
    const authenticator = authenticatorFor(undefined, { credentials: { find } })
    expect(await codeOf(authenticator.challenged(service.challenge, PULL))).toBe('IO')
  })
})
