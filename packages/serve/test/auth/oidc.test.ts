import { describe, expect, it } from 'vitest'
import { createOidc } from '../../src/auth/oidc.ts'
import { startIssuer } from '../support/oidc-issuer.ts'

const ISSUER = 'https://token.example'

async function setUp() {
  const clock = { now: 1_700_000_000_000 }
  const now = () => clock.now
  const issuer = await startIssuer(ISSUER, now)
  const oidc = createOidc([{ issuer: ISSUER, audience: ['s3lo'], jwks: { from: 'discovery' } }], {
    fetch: issuer.fetch,
    now,
  })
  return { clock, now, issuer, oidc }
}

describe('tokens of an OIDC issuer', () => {
  it('name their subject, with keys that are read once', async () => {
    const { issuer, oidc } = await setUp()
    const tokens = await Promise.all([1, 2, 3].map((n) => issuer.sign({ sub: `repo:org/app${n}` })))
    const found = await Promise.all(tokens.map((token) => oidc.verify(token)))
    expect(found).toEqual(
      [1, 2, 3].map((n) => ({ kind: 'oidc', issuer: ISSUER, subject: `repo:org/app${n}` })),
    )
    expect(issuer.asked).toEqual([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`])
  })

  it('are none for another audience, another issuer, too late, or without what they need', async () => {
    const { issuer, oidc, clock } = await setUp()
    const seconds = clock.now / 1000
    const stranger = await startIssuer(ISSUER, () => clock.now)
    const unknown = await startIssuer('https://evil.example', () => clock.now)
    const wrong = [
      await issuer.sign({ sub: 'a', aud: 'another' }),
      await issuer.sign({ sub: 'a', exp: seconds - 60 }),
      await issuer.sign({ sub: 'a', nbf: seconds + 60 }),
      await issuer.sign({}),
      await issuer.sign({ sub: '' }),
      await issuer.sign({ sub: 'a\nb' }),
      await issuer.sign({ sub: 'a'.repeat(600) }),
      await stranger.sign({ sub: 'a' }),
      await unknown.sign({ sub: 'a' }),
      `${(await issuer.sign({ sub: 'a' })).slice(0, -8)}AAAAAAAA`,
      'x.y.z',
      '',
    ]
    for (const token of wrong) expect(await oidc.verify(token)).toBeUndefined()
    expect(unknown.asked).toEqual([])
  })

  it('are verified by new keys when the issuer changes them, within bounds', async () => {
    const { issuer, oidc, clock } = await setUp()
    await oidc.verify(await issuer.sign({ sub: 'a' }))
    await issuer.rotate()
    const token = await issuer.sign({ sub: 'a' })
    // Not again within the cooldown, however many unknown keys tokens name.
    for (let i = 0; i < 50; i++) await oidc.verify(await issuer.sign({ sub: 'a' }, { kid: `${i}` }))
    expect(issuer.asked).toHaveLength(2)
    clock.now += 31_000
    expect(await oidc.verify(token)).toMatchObject({ subject: 'a' })
    expect(issuer.asked).toHaveLength(4)
  })

  it('stay valid while the issuer does not answer', async () => {
    const { issuer, oidc, clock } = await setUp()
    const token = await issuer.sign({ sub: 'a', exp: clock.now / 1000 + 7200 })
    await oidc.verify(token)
    issuer.answer = () => new Response('', { status: 500 })
    clock.now += 3_600_000
    expect(await oidc.verify(token)).toMatchObject({ subject: 'a' })
  })

  it.each<[string, (address: string) => Response | Promise<Response>]>([
    ['does not answer', () => Promise.reject(new TypeError('fetch failed'))],
    ['fails', () => new Response('', { status: 500 })],
    ['answers with no JSON', () => new Response('<html>')],
    ['answers without end', () => new Response(endless())],
    ['names another issuer', () => Response.json({ issuer: 'https://evil', jwks_uri: ISSUER })],
    [
      'names keys without TLS',
      () => Response.json({ issuer: ISSUER, jwks_uri: 'http://169.254.169.254/keys' }),
    ],
    ['names a file', () => Response.json({ issuer: ISSUER, jwks_uri: 'file:///etc/passwd' })],
    ['has no list of keys', () => Response.json({ issuer: ISSUER, jwks_uri: ISSUER, keys: 1 })],
    [
      'has keys that are none',
      () => Response.json({ issuer: ISSUER, jwks_uri: ISSUER, keys: [1] }),
    ],
  ])('may be valid when the issuer %s: that is no verdict', async (_what, answer) => {
    const { issuer, oidc } = await setUp()
    issuer.answer = answer
    const token = await issuer.sign({ sub: 'a' })
    await expect(oidc.verify(token)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const asked = issuer.asked.length
    await expect(oidc.verify(token)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(issuer.asked).toHaveLength(asked)
  })
})

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(64 * 1024).fill(0x20))
    },
  })
}
