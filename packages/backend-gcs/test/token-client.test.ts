import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { toFailure } from '../src/errors.ts'
import { openBackend } from '../src/index.ts'
import { clientOf } from '../src/token-client.ts'
import { failureOf } from './double-backend.ts'

let server: Server
const asked: unknown[] = []
beforeAll(async () => {
  server = createServer((request, response) => {
    void (async () => {
      asked.push(JSON.parse(String(await buffer(request))))
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ access_token: 'granted', expires_in: 3600 }))
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => void server.close())

it('a service identity of Google Distributed Cloud gets a token for the endpoint', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const file = {
    type: 'gdch_service_account',
    format_version: '1',
    project: 'project',
    private_key_id: 'id',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    name: 'identity',
    token_uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
  }
  const client = await clientOf(file, 'https://storage.example')
  const headers = new Headers(await client.getRequestHeaders())
  expect(headers.get('authorization')).toBe('Bearer granted')
  expect(asked).toMatchObject([{ audience: 'https://storage.example' }])
})

it('a program that may not run, and so gives no token, says why', async () => {
  const credentials = {
    type: 'external_account',
    audience:
      '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    credential_source: { executable: { command: '/bin/true' } },
  }
  const location = { scheme: 'gs', bucket: 'bucket' }
  const endpoint = 'https://127.0.0.1:1'
  const error = await failureOf(
    (await openBackend(location, { env: {}, endpoint, credentials })).head('key'),
  )
  expect([error.code, error.message]).toEqual([
    'UNAUTHORIZED',
    expect.stringContaining('GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES'),
  ])
})

it('a file of an unknown kind names the kinds that are known', async () => {
  const error = await failureOf(clientOf({ type: 'other' }, 'https://storage.example'))
  const { error: shown } = toFailure(error, 'gs://bucket')
  expect(shown).toMatchObject({
    code: 'UNAUTHORIZED',
    hint: expect.stringContaining('gdch_service_account'),
  })
})
