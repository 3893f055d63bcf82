import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveEndpoint } from '../src/endpoint.ts'
import { openBackend } from '../src/index.ts'
import { clientOf } from '../src/token-client.ts'
import { findUniverse } from '../src/universe.ts'
import { makeAccount } from './test-account.ts'

const UNIVERSE = 'apis-partner.example'
const account = { ...makeAccount().file, universe_domain: UNIVERSE }

let home: string
let file: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 's3lo-universe-'))
  file = join(home, 'key.json')
  await writeFile(file, JSON.stringify(account))
})
afterAll(() => rm(home, { recursive: true }))

describe('the universe domain', () => {
  it('is that of the credentials, and says where the services are', async () => {
    const env = { GOOGLE_APPLICATION_CREDENTIALS: file }
    expect(await findUniverse({ env })).toBe(UNIVERSE)
    expect(resolveEndpoint({ env: {} }, UNIVERSE)).toEqual({
      origin: `https://storage.${UNIVERSE}`,
      isGoogle: true,
      isAnonymous: false,
      universe: UNIVERSE,
    })
    const backend = await openBackend({ scheme: 'gs', bucket: 'bucket' }, { env })
    const url = await backend.presignGet?.('key', { expiresInSeconds: 60 })
    expect(url?.host).toBe(`storage.${UNIVERSE}`)
  })

  it("is Google's own without a word, and the variable's for a machine's credentials", async () => {
    expect(await findUniverse({ env: { HOME: home } })).toBe('googleapis.com')
    const env = { HOME: home, GOOGLE_CLOUD_UNIVERSE_DOMAIN: UNIVERSE }
    expect(await findUniverse({ env })).toBe(UNIVERSE)
  })

  it('of the variable has to be that of the credentials, since their token goes there', async () => {
    const named = { GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'other.example' }
    const env = { ...named, GOOGLE_APPLICATION_CREDENTIALS: file }
    await expect(findUniverse({ env })).rejects.toMatchObject({ code: 'USAGE' })
    const plain = { env: named, credentials: makeAccount().file }
    await expect(findUniverse(plain)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it.each(['evil.example/path', 'user@evil.example', 'localhost', 'a b.example'])(
    'is no %s',
    async (domain) => {
      const credentials = { ...account, universe_domain: domain }
      await expect(findUniverse({ env: {}, credentials })).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  it('has no service for tokens: a key signs its own', async () => {
    const headers = new Headers(
      await (await clientOf(account, 'https://storage.example')).getRequestHeaders(),
    )
    const [, payload = ''] = (headers.get('authorization') ?? '').split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    expect(claims).toMatchObject({ iss: account.client_email })
  })
})
