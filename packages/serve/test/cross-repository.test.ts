/** What a repository has is of no use to a client that may not pull it, also where the client knows its digests. */
import { imageFixture, indexFixture, putImage } from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADMIN, ALICE, type SecuredServer, SecuredServers } from './support/secured-servers.ts'

const hidden = imageFixture({ layers: ['a hidden layer'], label: 'hidden' })
const layer = [...hidden.content.keys()].at(-1) ?? ''
const { digest } = hidden.root.descriptor

let servers: SecuredServers
let server: SecuredServer
beforeAll(async () => {
  servers = await SecuredServers.open()
  server = await servers.secured()
  await putImage(server.backend, { name: 'hidden', tag: 'v1' }, hidden)
})
afterAll(() => servers[Symbol.asyncDispose]())

const ask = (method: string, path: string, body?: string | Uint8Array): Promise<Response> =>
  server.get(path, { ...ALICE, method, ...(body === undefined ? {} : { body: Buffer.from(body) }) })

async function codeOf(reply: Response): Promise<readonly [number, string]> {
  const { errors } = (await reply.json()) as { errors: readonly { readonly code: string }[] }
  return [reply.status, errors[0]?.code ?? '']
}

describe('what alice cannot pull', () => {
  it('is there for others', async () => {
    for (const path of [`blobs/${layer}`, `manifests/${digest}`]) {
      expect((await server.get(`/v2/hidden/${path}`, ADMIN)).status).toBe(200)
      expect((await server.get(`/v2/hidden/${path}`, ALICE)).status).toBe(403)
    }
  })

  it.each([
    [`blobs/${layer}`, 'BLOB_UNKNOWN'],
    [`blobs/${digest}`, 'BLOB_UNKNOWN'],
    [`manifests/${digest}`, 'MANIFEST_UNKNOWN'],
    [`manifests/${layer}`, 'MANIFEST_UNKNOWN'],
  ])('is not in her repositories: %.20s', async (path, code) => {
    expect(await codeOf(await ask('GET', `/v2/team/app/${path}`))).toEqual([404, code])
    expect((await ask('HEAD', `/v2/team/app/${path}`)).status).toBe(404)
  })

  it.each([
    ['by its repository', `mount=${layer}&from=hidden`],
    ['by its digest', `mount=${layer}`],
    ['by a path from hers', `mount=${layer}&from=team/../hidden`],
    ['by both', `mount=${layer}&from=team/app&from=hidden`],
    ['by a manifest', `mount=${digest}&from=hidden`],
  ])('is not mounted %s: an upload begins', async (_, query) => {
    const reply = await ask('POST', `/v2/team/app/blobs/uploads/?${query}`)
    expect(reply.status).toBe(202)
    expect(reply.headers.get('docker-content-digest')).toBeNull()
    expect((await ask('HEAD', `/v2/team/app/blobs/${layer}`)).status).toBe(404)
  })

  it('is not named by a manifest of hers', async () => {
    const index = indexFixture({ 'linux/amd64': hidden })
    for (const { content } of [hidden.root, index.root]) {
      const reply = await ask('PUT', '/v2/team/app/manifests/stolen', content)
      expect(await codeOf(reply)).toEqual([404, 'MANIFEST_BLOB_UNKNOWN'])
    }
    expect((await ask('GET', '/v2/team/app/manifests/stolen')).status).toBe(404)
  })

  it('is not deleted from hers, and has no referrers there', async () => {
    expect((await ask('DELETE', `/v2/team/app/blobs/${layer}`)).status).toBe(403)
    const reply = await ask('GET', `/v2/team/app/referrers/${digest}`)
    expect([reply.status, await reply.json()]).toMatchObject([200, { manifests: [] }])
    expect((await server.get(`/v2/hidden/blobs/${layer}`, ADMIN)).status).toBe(200)
  })

  it('is not continued as an upload of hers', async () => {
    const begun = await server.get('/v2/hidden/blobs/uploads/', { ...ADMIN, method: 'POST' })
    const location = begun.headers.get('location') ?? ''
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const own = location.replace('/hidden/', '/team/app/')
      const body = method === 'PATCH' ? 'bytes' : undefined
      const refused = await ask(method, `${own}?digest=${layer}`, body)
      // Alice may not delete in team/app at all.
      expect(refused.status).toBe(404)
      expect((await ask(method, location, body)).status).toBe(403)
    }
    expect((await server.get(location, ADMIN)).status).toBe(204)
  })

  it('is not pulled with a token for hers', async () => {
    const scopes = 'scope=repository:team/app:pull&scope=repository:hidden:pull'
    const { token } = (await (await server.get(`/token?${scopes}`, ALICE)).json()) as {
      token: string
    }
    const bearer = { headers: { authorization: `Bearer ${token}` } }
    expect((await server.get('/v2/team/app/manifests/v1', bearer)).status).toBe(200)
    expect((await server.get('/v2/hidden/manifests/v1', bearer)).status).toBe(403)
  })
})
