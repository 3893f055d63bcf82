import { digestOf } from '@s3lo/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Reply, type ServedStore, serveMemory } from './support/served-store.ts'

const blob = Buffer.from('the bytes of a blob')
const digest = digestOf(blob)
const uploadsPath = '/v2/team/app/blobs/uploads/'

let served: ServedStore
beforeAll(async () => {
  served = await serveMemory()
})
afterAll(() => served[Symbol.asyncDispose]())

async function begin(query = ''): Promise<string> {
  const { status, headers } = await served.ask(`${uploadsPath}${query}`, { method: 'POST' })
  expect(status).toBe(202)
  return headers.location ?? ''
}

function put(location: string, said = digest, body?: Buffer): Promise<Reply> {
  const path = `${location}?digest=${encodeURIComponent(said)}`
  return served.ask(path, { method: 'PUT', ...(body ? { body } : {}) })
}

function patch(location: string, body: Buffer, range?: string): Promise<Reply> {
  const headers = range === undefined ? {} : { 'content-range': range }
  return served.ask(location, { method: 'PATCH', body, headers })
}

function codeOf({ body }: Reply): unknown {
  return (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code
}

describe('an upload', () => {
  it('is one POST, and its blob can be read', async () => {
    const path = `${uploadsPath}?digest=${digest}`
    const { status, headers } = await served.ask(path, { method: 'POST', body: blob })
    expect([status, headers['docker-content-digest']]).toEqual([201, digest])
    expect((await served.ask(headers.location ?? '')).body.equals(blob)).toBe(true)
  })

  it.each(['', '?digest-algorithm=sha512'])('is chunks in their order%s', async (query) => {
    const location = await begin(query)
    const first = await patch(location, blob.subarray(0, 5), '0-4')
    expect([first.status, first.headers['range']]).toEqual([202, '0-4'])
    const wrong = await patch(location, blob.subarray(0, 5), '0-4')
    expect([wrong.status, wrong.headers['range'], codeOf(wrong)]).toEqual([
      416,
      '0-4',
      'BLOB_UPLOAD_INVALID',
    ])
    const status = await served.ask(location)
    expect([status.status, status.headers['range']]).toEqual([204, '0-4'])
    const said = digestOf(blob, query === '' ? 'sha256' : 'sha512')
    expect((await put(location, said, blob.subarray(5))).status).toBe(201)
    expect((await put(location, said)).status).toBe(201)
  })

  it.each([
    ['0-1', 'SIZE_INVALID'],
    ['4-0', 'SIZE_INVALID'],
    ['none', 'BLOB_UPLOAD_INVALID'],
  ])('refuses the chunk %s of 5 bytes', async (range, code) => {
    const reply = await patch(await begin(), blob.subarray(0, 5), range)
    expect([reply.status, codeOf(reply)]).toEqual([400, code])
  })

  it('is over when its bytes are not those of the digest', async () => {
    const location = await begin()
    await patch(location, Buffer.from('other bytes'))
    const reply = await put(location)
    expect([reply.status, codeOf(reply)]).toEqual([400, 'DIGEST_INVALID'])
    const after = await served.ask(location)
    expect(after.status).toBe(404)
  })

  it('is not found under the name of another repository', async () => {
    const location = (await begin()).replace('team/app', 'team/other')
    const reply = await patch(location, blob)
    expect([reply.status, codeOf(reply)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
  })

  it('can be cancelled, once', async () => {
    const location = await begin()
    expect((await served.ask(location, { method: 'DELETE' })).status).toBe(204)
    expect((await served.ask(location, { method: 'DELETE' })).status).toBe(404)
  })

  it('is not needed for a blob of a repository that the client may read', async () => {
    await served.ask(`${uploadsPath}?digest=${digest}`, { method: 'POST', body: blob })
    for (const query of [`mount=${digest}&from=team/app`, `mount=${digest}`]) {
      const to = `/v2/mounted/${query.length}`
      const { status, headers } = await served.ask(`${to}/blobs/uploads/?${query}`, {
        method: 'POST',
      })
      expect([status, headers.location]).toEqual([201, `${to}/blobs/${digest}`])
      expect((await served.ask(headers.location ?? '')).body.equals(blob)).toBe(true)
    }
    expect(await begin(`?mount=${digest}&from=team/none`)).toContain('/uploads/')
  })

  it('makes a blob that is gone from its repository once it is deleted, and from no other', async () => {
    for (const name of ['deleted/a', 'deleted/b']) {
      await served.ask(`/v2/${name}/blobs/uploads/?digest=${digest}`, {
        method: 'POST',
        body: blob,
      })
    }
    const path = `/v2/deleted/a/blobs/${digest}`
    expect((await served.ask(path, { method: 'DELETE' })).status).toBe(202)
    expect((await served.ask(path, { method: 'HEAD' })).status).toBe(404)
    expect((await served.ask(path, { method: 'DELETE' })).status).toBe(404)
    expect((await served.ask(`/v2/deleted/b/blobs/${digest}`)).status).toBe(200)
  })

  it.each(['?digest=sha256:no', '?digest-algorithm=md5'])(
    'does not begin with %s',
    async (query) => {
      const reply = await served.ask(`${uploadsPath}${query}`, { method: 'POST' })
      expect([reply.status, codeOf(reply)]).toEqual([400, 'DIGEST_INVALID'])
    },
  )
})

it('a blob that is larger than it may be is refused before its bytes are read, and leaves its upload', async () => {
  await using small = await serveMemory({ maxBlobBytes: 10 })
  const direct = { method: 'POST', body: blob }
  const refused = await small.ask(`${uploadsPath}?digest=${digest}`, direct)
  expect([refused.status, codeOf(refused)]).toEqual([413, 'SIZE_INVALID'])
  const { headers } = await small.ask(uploadsPath, { method: 'POST' })
  const location = headers.location ?? ''
  const first = await small.ask(location, { method: 'PATCH', body: blob.subarray(0, 10) })
  expect(first.status).toBe(202)
  const more = await small.ask(location, { method: 'PATCH', body: blob.subarray(10) })
  expect([more.status, codeOf(more)]).toEqual([413, 'SIZE_INVALID'])
  expect((await small.ask(location)).headers['range']).toBe('0-9')
})
