import { createHmac, generateKeyPairSync } from 'node:crypto'
import { decodeJwt, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { type AccessClaims, createTokens, decodeIssuer, LIFETIME } from '../../src/auth/jwt.ts'
import {
  formatSigningKey,
  makeSigningKey,
  parseSigningKey,
  type SigningKey,
} from '../../src/auth/signing-key.ts'

const KEY = makeSigningKey()
const CLAIMS: AccessClaims = {
  identity: { kind: 'user', name: 'alice' },
  grants: [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
}
const NOW: number = 1_700_000_000_000

function tokensWith({ key = KEY, service = 's3lo', now = () => NOW } = {}) {
  return createTokens({ key, service, now })
}

/** A token with any header and payload, signed by a key of ours. */
function forge(
  header: Record<string, unknown>,
  payload: Record<string, unknown>,
  key: SigningKey = KEY,
): Promise<string> {
  return new SignJWT({ kind: 'user', access: [], ...payload })
    .setProtectedHeader({ alg: 'EdDSA', ...header })
    .sign(key.privateKey)
}

const seconds = Math.floor(NOW / 1000)
const HEADER = { typ: 's3lo-access+jwt' }
const PAYLOAD = {
  iss: 's3lo',
  aud: 's3lo',
  sub: 'alice',
  jti: '1',
  iat: seconds,
  nbf: seconds,
  exp: seconds + 60,
}

describe('access tokens', () => {
  it('are read back as they were issued, by every replica with the key', async () => {
    const token = await tokensWith().issueAccess(CLAIMS)
    const replica = tokensWith({ key: parseSigningKey(formatSigningKey(KEY), 'token.key') })
    expect(await replica.readAccess(token)).toEqual(CLAIMS)
    expect(decodeIssuer(token)).toBe('s3lo')
  })

  it.each<AccessClaims>([
    { identity: { kind: 'anonymous' }, grants: [] },
    { identity: { kind: 'oidc', issuer: 'https://i.example', subject: 'repo:a/b' }, grants: [] },
  ])('keep the identity %j', async (claims) => {
    const tokens = tokensWith()
    expect(await tokens.readAccess(await tokens.issueAccess(claims))).toEqual(claims)
  })

  it('expire', async () => {
    const token = await tokensWith().issueAccess(CLAIMS)
    const read = (after: number) => tokensWith({ now: () => NOW + after * 1000 }).readAccess(token)
    expect(await read(LIFETIME.access)).toEqual(CLAIMS)
    expect(await read(LIFETIME.access + 11)).toBeUndefined()
    expect(await read(-60)).toBeUndefined()
  })

  it('are none of another key, service, kind or issuer', async () => {
    const tokens = tokensWith()
    expect(await tokens.readAccess(await forge(HEADER, PAYLOAD))).toBeDefined()
    const other = tokensWith({ key: makeSigningKey() })
    const wrong = [
      await other.issueAccess(CLAIMS),
      await tokensWith({ service: 'another.example' }).issueAccess(CLAIMS),
      await tokens.issueRefresh('alice', 'hash'),
      await forge(HEADER, { ...PAYLOAD, iss: 'https://i.example' }),
      await forge({ typ: 'JWT' }, PAYLOAD),
      await forge({}, PAYLOAD),
      await forge(HEADER, { ...PAYLOAD, exp: undefined }),
      await forge(HEADER, { ...PAYLOAD, sub: undefined }),
      await forge(HEADER, { ...PAYLOAD, nbf: seconds + 60 }),
      await forge(HEADER, { ...PAYLOAD, kind: 'root' }),
      await forge(HEADER, { ...PAYLOAD, access: 'all' }),
      await forge({ ...HEADER, crit: ['b64'], b64: true }, { ...PAYLOAD, access: {} }),
    ]
    for (const token of wrong) expect(await tokens.readAccess(token)).toBeUndefined()
  })

  it('are none with another algorithm, or none at all', async () => {
    const tokens = tokensWith()
    const payload = encode({ ...PAYLOAD, kind: 'user', access: [] })
    const none = `${encode({ alg: 'none', ...HEADER })}.${payload}.`
    expect(await tokens.readAccess(none)).toBeUndefined()
    expect(await tokens.readAccess(none.slice(0, -1))).toBeUndefined()
    // The public key as a shared secret: the confusion of algorithms.
    const signed = `${encode({ alg: 'HS256', ...HEADER })}.${payload}`
    const pem = KEY.publicKey.export({ type: 'spki', format: 'pem' })
    const mac = createHmac('sha256', pem).update(signed).digest('base64url')
    expect(await tokens.readAccess(`${signed}.${mac}`)).toBeUndefined()
    // A key that the token brings along.
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const own = await new SignJWT({ ...PAYLOAD, kind: 'user', access: [] })
      .setProtectedHeader({ alg: 'EdDSA', ...HEADER, jwk: publicKey.export({ format: 'jwk' }) })
      .sign(privateKey)
    expect(await tokens.readAccess(own)).toBeUndefined()
  })

  it('are none once a character is changed', async () => {
    const tokens = tokensWith()
    const [header, , signature] = (await tokens.issueAccess(CLAIMS)).split('.')
    const wider = encode({
      ...PAYLOAD,
      kind: 'user',
      access: [{ type: 'repository', name: 'secret', actions: ['pull'] }],
    })
    expect(await tokens.readAccess(`${header}.${wider}.${signature}`)).toBeUndefined()
  })

  it('keep no grant that they cannot have', async () => {
    const access = [
      { type: 'repository', name: 'a', actions: ['pull', 'root'] },
      { type: 'registry', name: 'catalog', actions: ['catalog'] },
      { type: 'other', name: 'a', actions: [] },
      null,
    ]
    const claims = await tokensWith().readAccess(await forge(HEADER, { ...PAYLOAD, access }))
    expect(claims?.grants).toEqual([access[1]])
  })

  it('are not looked at when they are longer than any of ours', async () => {
    const long = 'x'.repeat(100_000)
    expect(await tokensWith().readAccess(await forge(HEADER, { ...PAYLOAD, long }))).toBeUndefined()
    expect(decodeIssuer(await forge(HEADER, { ...PAYLOAD, long }))).toBeUndefined()
  })
})

describe('refresh tokens', () => {
  it('name their user while the password stays the same', async () => {
    const tokens = tokensWith()
    const token = await tokens.issueRefresh('alice', 'hash 1')
    expect(await tokens.readRefresh(token, () => 'hash 1')).toBe('alice')
    expect(await tokens.readRefresh(token, () => 'hash 2')).toBeUndefined()
    expect(await tokens.readRefresh(token, () => undefined)).toBeUndefined()
    expect(JSON.stringify(decodeJwt(token))).not.toContain('hash')
  })

  it('expire, and are no access tokens', async () => {
    const token = await tokensWith().issueRefresh('alice', 'hash')
    const late = tokensWith({ now: () => NOW + (LIFETIME.refresh + 60) * 1000 })
    expect(await late.readRefresh(token, () => 'hash')).toBeUndefined()
    expect(await tokensWith().readAccess(token)).toBeUndefined()
    const access = await tokensWith().issueAccess(CLAIMS)
    expect(await tokensWith().readRefresh(access, () => 'hash')).toBeUndefined()
  })
})

describe('a signing key', () => {
  it.each([
    ['no PEM', 'hello'],
    ['a public key', KEY.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    [
      'a key of RSA',
      generateKeyPairSync('rsa', { modulusLength: 2048 })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    ],
  ])('is not %s', (_what, pem) => {
    expect(() => parseSigningKey(pem, 'token.key')).toThrow(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
  })
})

function encode(document: unknown): string {
  return Buffer.from(JSON.stringify(document)).toString('base64url')
}
