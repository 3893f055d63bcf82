import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { isS3loError, type S3loError } from '@s3lo/core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  accepted,
  ACCOUNT_KEY,
  type Answer,
  content,
  created,
  facts,
  FakeBlobService,
  holdTime,
  page,
  refuse,
  reset,
  silence,
  STALL_MS,
} from './fake-blob-service.ts'

let service: FakeBlobService
beforeAll(async () => {
  service = await FakeBlobService.start()
})
afterAll(() => service.close())
afterEach(() => void vi.useRealTimers())

const absent = { condition: { kind: 'absent' } } as const

describe('errors', () => {
  const table: readonly [number, string, string][] = [
    [401, 'NoAuthenticationInformation', 'UNAUTHORIZED'],
    [403, 'AuthenticationFailed', 'UNAUTHORIZED'],
    [403, 'AuthorizationPermissionMismatch', 'FORBIDDEN'],
    [403, 'KeyBasedAuthenticationNotPermitted', 'FORBIDDEN'],
    [404, 'ContainerNotFound', 'NOT_FOUND'],
    [404, 'SomethingElse', 'NOT_FOUND'],
    [409, 'BlobArchived', 'UNSUPPORTED'],
    [409, 'BlobImmutableDueToPolicy', 'FORBIDDEN'],
    [409, 'ContainerBeingDeleted', 'UNAVAILABLE'],
    [412, 'LeaseIdMissing', 'FORBIDDEN'],
    [400, 'InvalidHeaderValue', 'UNSUPPORTED'],
    [400, 'InvalidResourceName', 'INVALID_REFERENCE'],
    [501, 'NotImplemented', 'UNSUPPORTED'],
  ]
  it.each(table)('%i %s is %s, for head and get alike', async (status, reason, code) => {
    service.script(refuse(status, reason), refuse(status, reason))
    const backend = service.backend()
    expect((await failureOf(backend.head('key'))).code).toBe(code)
    expect((await failureOf(backend.get('key'))).code).toBe(code)
    expect(service.requests).toHaveLength(2)
  })

  it('only a blob that is not found is missing', async () => {
    service.script(refuse(404, 'BlobNotFound'))
    expect(await service.backend().head('key')).toBeUndefined()
  })

  it('a clock that is wrong is named in the hint', async () => {
    const date = new Date(Date.now() - 3_600_000).toUTCString()
    service.script(refuse(403, 'AuthenticationFailed', { date }))
    const { hint } = await failureOf(service.backend().head('key'))
    expect(hint).toMatch(/clock is 60 minutes off/)
  })

  it('hold no credential, however deep one looks', async () => {
    service.script(refuse(403, 'AuthenticationFailed'), refuse(403, 'AuthenticationFailed'))
    const sas = { AZURE_STORAGE_KEY: '', AZURE_STORAGE_SAS_TOKEN: '?sv=1&sig=SECRETSIGNATURE' }
    for (const backend of [service.backend(), service.backend({}, sas)]) {
      const text = inspect(await failureOf(backend.head('key')), { depth: 20, showHidden: true })
      expect(text).not.toMatch(/SECRETSIGNATURE|SharedKey|authorization/i)
      expect(text).not.toContain(ACCOUNT_KEY)
    }
  })

  it('a closed port is UNAVAILABLE after some attempts', async () => {
    const closed = await FakeBlobService.start()
    await closed.close()
    const error = await failureOf(closed.backend().head('key'))
    expect([error.code, closed.delays.length]).toEqual(['UNAVAILABLE', 3])
  })

  it('a key that is a path is refused before it is sent', async () => {
    service.script()
    const backend = service.backend()
    for (const key of ['', 'a/../b', './a', 'a/..', '\ud800']) {
      expect((await failureOf(backend.head(key))).code).toBe('INVALID_REFERENCE')
      expect((await failureOf(backend.put(key, Buffer.from('x')))).code).toBe('INVALID_REFERENCE')
    }
    expect(service.requests).toEqual([])
  })
})

describe('retries', () => {
  it('survive what passes: resets, throttling, failures', async () => {
    service.script(reset, refuse(503, 'ServerBusy'), refuse(500, 'InternalError'), facts())
    expect((await service.backend().head('key'))?.etag).toBe('0x1')
    expect(service.delays).toEqual([250, 500, 1000])
  })

  it('wait as long as the service asks for', async () => {
    service.script(refuse(429, 'TooManyRequests', { 'retry-after': '7' }), facts())
    await service.backend().head('key')
    expect(service.delays).toEqual([7000])
  })

  it('end after the attempts of the policy, with one clear error', async () => {
    service.script(reset, reset, reset, reset)
    const error = await failureOf(service.backend().head('key'))
    expect([error.code, service.requests.length]).toEqual(['UNAVAILABLE', 4])
  })

  it('give up an attempt that is silent', async () => {
    holdTime()
    service.script(silence, facts())
    expect(await service.backend().head('key')).toBeDefined()
    expect(service.requests).toHaveLength(2)
  })

  it('stop at once when the call is aborted while it waits', async () => {
    service.script(reset)
    const controller = new AbortController()
    const reason = new Error('stop')
    const delay = async (): Promise<void> => controller.abort(reason)
    const backend = service.backend({ retry: { delay } })
    await expect(backend.head('key', { signal: controller.signal })).rejects.toBe(reason)
    expect(service.requests).toHaveLength(1)
  })

  it('an answer that is no listing is tried again', async () => {
    const broken: Answer = (response) => void response.writeHead(200).end('<Enumer')
    service.script(broken, page(['a']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a'])
  })
})

describe('a write whose answer was lost', () => {
  it('is found to be ours by its mark, and has succeeded', async () => {
    let mark = ''
    const lost: Answer = (response, { headers }) => {
      mark = String(headers['x-ms-meta-s3lo_write'])
      response.destroy()
    }
    const found: Answer = (response, request) =>
      facts({ 'content-length': '1', 'x-ms-meta-s3lo_write': mark })(response, request)
    service.script(lost, refuse(409, 'BlobAlreadyExists'), found)
    const info = await service.backend().put('key', Buffer.from('x'), absent)
    expect([info.etag, info.size]).toEqual(['0x1', 1])
    expect(service.seen).toEqual([
      'PUT /account/bucket/key',
      'PUT /account/bucket/key',
      'HEAD /account/bucket/key',
    ])
  })

  it("is a CONFLICT when the blob is another client's", async () => {
    const theirs = facts({ 'content-length': '1', 'x-ms-meta-s3lo_write': 'another' })
    service.script(reset, refuse(409, 'BlobAlreadyExists'), theirs)
    const error = await failureOf(service.backend().put('key', Buffer.from('x'), absent))
    expect(error.code).toBe('CONFLICT')
  })

  it('is not looked for when no attempt was lost', async () => {
    service.script(refuse(409, 'BlobAlreadyExists'))
    const error = await failureOf(service.backend().put('key', Buffer.from('x'), absent))
    expect([error.code, service.requests.length]).toEqual(['CONFLICT', 1])
  })

  it('is not called a conflict when the object cannot be looked up', async () => {
    service.script(reset, refuse(412, 'ConditionNotMet'), refuse(403, 'AuthorizationFailure'))
    const error = await failureOf(service.backend().put('key', Buffer.from('x'), absent))
    expect(error.code).toBe('FORBIDDEN')
  })

  it('in blocks is found by its mark too', async () => {
    let mark = ''
    const lost: Answer = (response, { headers }) => {
      mark = String(headers['x-ms-meta-s3lo_write'])
      response.destroy()
    }
    const found: Answer = (response, request) =>
      facts({ 'content-length': '8', etag: '"0x2"', 'x-ms-meta-s3lo_write': mark })(
        response,
        request,
      )
    const refused = refuse(412, 'ConditionNotMet')
    service.script(created(), created(), lost, refused, found)
    const backend = service.backend({ partBytes: 4, parallelParts: 0 })
    const info = await backend.put('key', Buffer.from('01234567'), absent)
    expect([info.etag, info.size]).toEqual(['0x2', 8])
    expect(service.seen.at(-1)).toBe('HEAD /account/bucket/key')
  })

  it('of a delete is found by the blob being gone', async () => {
    service.script(reset, refuse(403, 'AuthorizationFailure'), refuse(404, 'BlobNotFound'))
    expect(await service.backend().delete(['key'])).toEqual([])
  })
})

describe('an upload in blocks', () => {
  it('sends every block with its checksum, and the condition with the list', async () => {
    service.script(refuse(404, 'BlobNotFound'), created(), created(), created(), created())
    const backend = service.backend({ partBytes: 4 })
    await backend.put('key', Readable.from([Buffer.from('0123456789')]), absent)
    const blocks = service.requests.filter(({ url }) => url.includes('comp=block&'))
    expect(blocks.map(({ body }) => String(body)).toSorted()).toEqual(['0123', '4567', '89'])
    expect(blocks.every(({ headers }) => headers['content-md5'] !== undefined)).toBe(true)
    const last = service.requests.at(-1)
    expect([last?.url.includes('comp=blocklist'), last?.headers['if-none-match']]).toEqual([
      true,
      '*',
    ])
  })

  it('that another client overtook is a conflict under a condition', async () => {
    service.script(created(), created(), refuse(400, 'InvalidBlockList'))
    const backend = service.backend({ partBytes: 4 })
    const error = await failureOf(backend.put('key', Buffer.from('01234567'), absent))
    expect(error.code).toBe('CONFLICT')
  })

  it('that another client overtook with as many bytes has succeeded, and was replaced', async () => {
    const theirs = facts({
      'content-length': '8',
      etag: '"0x9"',
      'last-modified': new Date(Date.now() + 1000).toUTCString(),
    })
    service.script(created(), created(), refuse(400, 'InvalidBlockList'), theirs)
    const backend = service.backend({ partBytes: 4 })
    expect((await backend.put('key', Buffer.from('01234567'))).etag).toBe('0x9')
  })

  it('does not take an older blob for one that overtook it', async () => {
    service.script(
      created(),
      created(),
      refuse(400, 'InvalidBlockList'),
      facts({ 'content-length': '8' }),
    )
    const backend = service.backend({ partBytes: 4 })
    expect((await failureOf(backend.put('key', Buffer.from('01234567')))).code).toBe('CONFLICT')
  })

  it('commits nothing when a block fails, and destroys the body', async () => {
    const body = new Readable({ read: () => {} })
    body.push('01234567')
    service.script(refuse(403, 'AuthorizationFailure'))
    const error = await failureOf(service.backend({ partBytes: 4 }).put('key', body))
    expect([error.code, body.destroyed]).toEqual(['FORBIDDEN', true])
    expect(service.seen.filter((request) => request.includes('blocklist'))).toEqual([])
  })

  it('whose body fails before it is read throws what the body failed with', async () => {
    const body = new Readable({ read: () => {} })
    const reason = new Error('the source broke')
    const late: Answer = (response, request) => {
      body.destroy(reason)
      setImmediate(() => refuse(404, 'BlobNotFound')(response, request))
    }
    service.script(late)
    await expect(service.backend().put('key', body, absent)).rejects.toBe(reason)
  })

  it('with a deadline signs only the request that makes the blob appear', async () => {
    service.script(created(), created(), created())
    const notAfter = new Date('2031-02-03T04:05:06.789Z')
    await service.backend({ partBytes: 4 }).put('key', Buffer.from('01234567'), { notAfter })
    const [block, , list] = service.requests
    expect(block?.headers.authorization).toMatch(/^SharedKey/)
    expect(list?.headers.authorization).toBeUndefined()
    expect(list?.url).toContain('se=2031-02-03T04%3A05%3A06Z')
    expect(list?.url).toContain('sp=cw')
  })
})

describe('a body', () => {
  it('that breaks off resumes where it ended, of the same version', async () => {
    service.script(
      content('0123456789', { sent: 4 }),
      reset,
      content('456789', { sent: 3, start: 4, size: 10 }),
      content('789', { start: 7, size: 10 }),
    )
    expect(await textOf(service.backend().get('key'))).toBe('0123456789')
    const [, , second, third] = service.requests
    expect(second?.headers['x-ms-range']).toBe('bytes=4-9')
    expect(third?.headers['x-ms-range']).toBe('bytes=7-9')
    expect(third?.headers['if-match']).toBe('"0x1"')
  })

  it('that was replaced meanwhile fails and mixes nothing', async () => {
    service.script(content('0123456789', { sent: 4 }), refuse(412, 'ConditionNotMet'))
    const error = await failureOf(textOf(service.backend().get('key')))
    expect(error.code).toBe('CONFLICT')
  })

  it('that falls silent resumes with another connection', async () => {
    const quiet: Answer = (response) => {
      response.writeHead(200, {
        etag: '"0x1"',
        'last-modified': new Date().toUTCString(),
        'content-length': 4,
      })
      response.write('01')
    }
    service.script(quiet, content('23', { start: 2, size: 4 }))
    holdTime()
    const { body } = await service.backend().get('key')
    body.once('data', () => void vi.advanceTimersByTimeAsync(STALL_MS + 1))
    expect(await contentOf(body)).toBe('0123')
  })

  it('that brings no byte any more fails in the end', async () => {
    const nothing = content('456789', { sent: 0, start: 4, size: 10 })
    service.script(content('0123456789', { sent: 4 }), nothing, nothing, nothing, nothing)
    expect((await failureOf(textOf(service.backend().get('key')))).code).toBe('UNAVAILABLE')
  })

  it('of a service that ignores the range is refused', async () => {
    service.script(content('0123456789'))
    const range = { start: 3, end: 5 }
    expect((await failureOf(service.backend().get('key', { range }))).code).toBe('UNSUPPORTED')
  })

  it('of a blob that is still being copied is not there', async () => {
    service.script(facts({ 'content-length': '5', 'x-ms-copy-status': 'pending' }))
    expect(await service.backend().head('key')).toBeUndefined()
  })
})

describe('copies and touches', () => {
  const pending = facts({
    'content-length': '5',
    'x-ms-copy-status': 'pending',
    'x-ms-copy-id': 'c',
  })
  const started: Answer = (response) => {
    response.writeHead(202, { etag: '"0x1"', 'x-ms-copy-id': 'c', 'x-ms-copy-status': 'pending' })
    response.end()
  }

  it('a copy is waited for, ever longer', async () => {
    const done = facts({ 'content-length': '5', 'x-ms-copy-status': 'success' })
    service.script(started, pending, pending, done)
    const backend = service.backend()
    expect((await backend.copyFrom(backend, 'from', 'to'))?.size).toBe(5)
    expect(service.delays).toEqual([500, 1000])
  })

  it('an aborted copy is aborted at the service, and what it left is removed', async () => {
    const controller = new AbortController()
    const reason = new Error('stop')
    const delay = async (): Promise<void> => controller.abort(reason)
    const empty = facts({
      'content-length': '0',
      'x-ms-copy-status': 'aborted',
      'x-ms-copy-id': 'c',
    })
    service.script(
      started,
      pending,
      (response) => void response.writeHead(204).end(),
      empty,
      accepted,
    )
    const backend = service.backend({ retry: { delay } })
    const { signal } = controller
    await expect(backend.copyFrom(backend, 'from', 'to', { signal })).rejects.toBe(reason)
    expect(service.seen.slice(2)).toEqual([
      expect.stringMatching(/^PUT .*comp=copy/),
      'HEAD /account/bucket/to',
      'DELETE /account/bucket/to',
    ])
  })

  it('touch keeps the metadata, and looks again when another client was faster', async () => {
    const before = facts({ 'content-length': '5', 'x-ms-meta-team': 'blue' })
    const after: Answer = (response) => void response.writeHead(200, { etag: '"0x7"' }).end()
    service.script(before, refuse(412, 'ConditionNotMet'), before, after)
    expect((await service.backend().touch('key')).etag).toBe('0x7')
    const last = service.requests.at(-1)
    expect([last?.headers['x-ms-meta-team'], last?.headers['if-match']]).toEqual(['blue', '"0x1"'])
  })
})

describe('lists', () => {
  it('hide pages, also empty ones', async () => {
    service.script(page(['a', 'b'], 'one'), page([], 'two'), page(['c']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a', 'b', 'c'])
    expect(service.seen[1]).toContain('marker=one')
  })

  it('fail rather than give names out of order', async () => {
    service.script(page(['a/b', 'a-b']))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNSUPPORTED')
  })

  it('bring the order of UTF-16 into that of UTF-8', async () => {
    const names = ['a\u{1f600}', 'a\u{ff5e}', 'b']
    service.script(page(names))
    expect(await keysOf(service.backend().list(''))).toEqual(['a\u{ff5e}', 'a\u{1f600}', 'b'])
  })
})

async function failureOf(promise: Promise<unknown>): Promise<S3loError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (isS3loError(error)) return error
  throw new Error(`expected an s3lo error, got ${inspect(error)}`)
}

async function textOf(object: ReturnType<FakeBlobServiceBackend['get']>): Promise<string> {
  return contentOf((await object).body)
}

async function contentOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

type FakeBlobServiceBackend = ReturnType<FakeBlobService['backend']>

async function keysOf(infos: AsyncIterable<{ readonly key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of infos) keys.push(key)
  return keys
}
