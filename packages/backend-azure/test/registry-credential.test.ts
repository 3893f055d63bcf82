import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { isS3loError } from '@s3lo/core'
import { registryCredentialsFor } from '@s3lo/core/plugin'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import plugin from '../src/plugin.ts'
import { getRegistryCredential } from '../src/registry-credential.ts'

const HOST = 'contoso.azurecr.io'
const IDENTITY = 'token-of-the-identity'

/** A refresh token that ends in 2030; nothing is signed. */
const REFRESH_TOKEN = `e30.${Buffer.from('{"exp":1893456000}').toString('base64url')}.c2ln`

interface Seen {
  readonly url: string
  readonly form: Record<string, string>
}

/** What the registry answers next, and what it was asked. */
let answer: { status: number; headers?: Record<string, string>; body?: string }
let seen: Seen[]
let asked: string[]
let server: Server

beforeAll(async () => {
  server = createServer((request, response) => void respond(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => void server.close())
beforeEach(() => {
  answer = { status: 200, body: JSON.stringify({ refresh_token: REFRESH_TOKEN }) }
  seen = []
  asked = []
})

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
  seen.push({ url: request.url ?? '', form })
  response.writeHead(answer.status, answer.headers).end(answer.body)
}

/** Leads the registry's own address to this machine. */
const fetchHere: typeof fetch = (input, init) => {
  const url = input instanceof Request ? input.url : input.toString()
  asked.push(url)
  const { port } = server.address() as AddressInfo
  return fetch(url.replace(/^https:\/\/[^/]+/, `http://127.0.0.1:${port}`), init)
}

function credentialOf(
  host: string,
  getToken: (scopes: string | string[]) => Promise<{ token: string; expiresOnTimestamp: number }>,
  env: Record<string, string> = {},
): ReturnType<typeof getRegistryCredential> {
  return getRegistryCredential(host, { env, credential: { getToken }, fetch: fetchHere })
}

const logIn = (host = HOST, env = {}): ReturnType<typeof getRegistryCredential> =>
  credentialOf(host, async () => ({ token: IDENTITY, expiresOnTimestamp: 0 }), env)

async function failureOf(promise: Promise<unknown>): Promise<{ code: string; text: string }> {
  const error: unknown = await promise.catch((reason: unknown) => reason)
  if (!isS3loError(error)) throw new Error(`expected an s3lo error, got ${inspect(error)}`)
  return { code: error.code, text: inspect(error, { depth: 20, showHidden: true }) }
}

describe('credentials for an Azure Container Registry', () => {
  it('are the refresh token that the registry gives for the identity, with its end', async () => {
    expect(await logIn(HOST, { AZURE_TENANT_ID: 'tenant' })).toEqual({
      username: '00000000-0000-0000-0000-000000000000',
      password: REFRESH_TOKEN,
      expiresAt: new Date('2030-01-01T00:00:00Z'),
    })
    expect(asked).toEqual([`https://${HOST}/oauth2/exchange`])
    expect(seen[0]?.form).toEqual({
      grant_type: 'access_token',
      service: HOST,
      tenant: 'tenant',
      access_token: IDENTITY,
    })
  })

  it('are asked for with a token for registries, and not for storage', async () => {
    const scopes: unknown[] = []
    for (const domain of ['io', 'cn', 'us']) {
      await credentialOf(`contoso.azurecr.${domain}`, async (scope) => {
        scopes.push(scope)
        return { token: IDENTITY, expiresOnTimestamp: 0 }
      })
    }
    expect(scopes).toEqual([
      'https://containerregistry.azure.net/.default',
      'https://management.chinacloudapi.cn/.default',
      'https://management.usgovcloudapi.net/.default',
    ])
  })

  it.each([
    'contoso.azurecr.io.example.com',
    'azurecr.io',
    'contoso.westeurope.data.azurecr.io',
    'contoso.azurecr.io:443@example.com',
    'example.com/contoso.azurecr.io',
    'contoso.azurecr.com',
  ])('%s is sent no token', async (host) => {
    expect(await logIn(host)).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('the token does not follow a redirect', async () => {
    answer = { status: 307, headers: { location: '/elsewhere' } }
    expect((await failureOf(logIn())).code).toBe('UNSUPPORTED')
    expect(seen.map(({ url }) => url)).toEqual(['/oauth2/exchange'])
  })

  it('an answer without a token is no credential', async () => {
    for (const body of [
      '',
      '<html>',
      '{}',
      '{"refresh_token":""}',
      '{"refresh_token":7}',
      'null',
    ]) {
      answer = { status: 200, body }
      expect((await failureOf(logIn())).code).toBe('UNAVAILABLE')
    }
  })

  it('a token without an end is one all the same', async () => {
    answer = { status: 200, body: '{"refresh_token":"opaque"}' }
    expect(await logIn()).toEqual({
      username: '00000000-0000-0000-0000-000000000000',
      password: 'opaque',
    })
  })

  it('an answer without an end is not read for ever', async () => {
    answer = { status: 200, body: `{"refresh_token":"${'x'.repeat(1024 * 1024)}"}` }
    expect((await failureOf(logIn())).code).toBe('UNAVAILABLE')
  })

  it('a refusal is UNAUTHORIZED at once, and holds no token', async () => {
    for (const status of [400, 401, 403]) {
      answer = { status, body: `no: ${IDENTITY}` }
      const { code, text } = await failureOf(logIn())
      expect(code).toBe('UNAUTHORIZED')
      expect(text).toContain(`HTTP ${status}`)
      expect(text).not.toContain(IDENTITY)
    }
    expect(seen).toHaveLength(3)
  })
})

describe('an identity', () => {
  const logInWithout = (error: Error): ReturnType<typeof logIn> =>
    credentialOf(HOST, async () => {
      throw error
    })
  const named = (name: string, more = {}): Error => Object.assign(new Error('no'), { name }, more)

  it('that is not there is no failure: the registry may let anybody read', async () => {
    const absent = named('CredentialUnavailableError')
    const chain = named('AggregateAuthenticationError', { errors: [absent, absent] })
    expect(await logInWithout(absent)).toBeUndefined()
    expect(await logInWithout(chain)).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('that does not work is UNAUTHORIZED', async () => {
    const expired = named('AuthenticationError')
    const chain = named('AggregateAuthenticationError', { errors: [expired] })
    expect((await failureOf(logInWithout(expired))).code).toBe('UNAUTHORIZED')
    expect((await failureOf(logInWithout(chain))).code).toBe('UNAUTHORIZED')
  })
})

describe('the plugin', () => {
  it('knows the registries of Azure, and no others', async () => {
    const hosts = [HOST, 'contoso.azurecr.cn', 'contoso.azurecr.us', 'azurecr.io', 'example.com']
    const known = hosts.filter((host) => registryCredentialsFor(plugin, host) !== undefined)
    expect(known).toEqual(hosts.slice(0, 3))
    const module = await plugin.registryCredentials[0].load()
    expect(module).toHaveProperty('getRegistryCredential')
  })
})
