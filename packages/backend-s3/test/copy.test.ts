import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type Answer,
  begun,
  facts,
  failureOf,
  FakeS3,
  holdTime,
  refuse,
  reset,
  resolveToLoopback,
  silent,
  STALL_MS,
  SECRET_KEY,
  xml,
  useFakeS3,
} from './fake-s3.ts'

const GIB = 1024 ** 3

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.useRealTimers().restoreAllMocks())

const copied = (etag = 'e2', lastModified = new Date().toISOString()): Answer =>
  xml(
    `<CopyObjectResult><ETag>"${etag}"</ETag><LastModified>${lastModified}</LastModified></CopyObjectResult>`,
  )

describe('a copy', () => {
  it('is made by the service, of the version that was looked at', async () => {
    service.script(facts({ 'content-length': '7' }), copied())
    const backend = service.backend()
    const info = await backend.copyFrom(backend, 'a/b c+ü', 'to')
    expect(info).toMatchObject({ key: 'to', size: 7, etag: 'e2' })
    expect(service.seen).toEqual(['HEAD /bucket/a/b%20c%2B%C3%BC', 'PUT /bucket/to'])
    expect(service.requests[1]?.headers).toMatchObject({
      'x-amz-copy-source': 'bucket/a/b%20c%2B%C3%BC',
      'x-amz-copy-source-if-match': '"e1"',
    })
  })

  it('is waited for as long as a large object may take', async () => {
    holdTime()
    service.script(facts({ 'content-length': `${3 * GIB}` }), silent(2 * STALL_MS, copied()))
    const backend = service.backend()
    expect(await backend.copyFrom(backend, 'from', 'to')).toMatchObject({ size: 3 * GIB })
    expect(service.seen).toEqual(['HEAD /bucket/from', 'PUT /bucket/to'])
  })

  it('is waited for also when its answer begins at once, as that of AWS does', async () => {
    holdTime()
    const begun: Answer = (response, request) => {
      response.writeHead(200, { 'content-type': 'application/xml' }).write(' ')
      const end =
        '<CopyObjectResult><ETag>"e2"</ETag><LastModified>2040-01-01T00:00:00Z</LastModified></CopyObjectResult>'
      silent(2 * STALL_MS, () => response.end(end))(response, request)
    }
    service.script(facts({ 'content-length': `${3 * GIB}` }), begun)
    const backend = service.backend()
    expect(await backend.copyFrom(backend, 'from', 'to')).toMatchObject({ etag: 'e2' })
  })

  it('keeps the storage class, which the service would not', async () => {
    service.script(facts({ 'x-amz-storage-class': 'INTELLIGENT_TIERING' }), copied())
    const backend = service.aws()
    await backend.copyFrom(backend, 'from', 'to')
    expect(service.requests[1]?.headers['x-amz-storage-class']).toBe('INTELLIGENT_TIERING')
  })

  it('names no storage class where the object has none', async () => {
    service.script(facts(), copied())
    const backend = service.backend()
    await backend.copyFrom(backend, 'from', 'to')
    expect(service.requests[1]?.headers).not.toHaveProperty('x-amz-storage-class')
  })

  it('of what is not there is NOT_FOUND, before and while it is made', async () => {
    service.script(answer(404))
    const backend = service.backend()
    expect((await failureOf(backend.copyFrom(backend, 'from', 'to'))).code).toBe('NOT_FOUND')
    service.script(facts(), refuse(404, 'NoSuchKey'))
    expect((await failureOf(backend.copyFrom(backend, 'from', 'to'))).code).toBe('NOT_FOUND')
  })

  it('of what was replaced meanwhile is a CONFLICT', async () => {
    service.script(facts(), refuse(412, 'PreconditionFailed'), facts({ etag: '"e2"' }))
    const backend = service.backend()
    expect((await failureOf(backend.copyFrom(backend, 'from', 'to'))).code).toBe('CONFLICT')
  })

  it('is tried again when its answer was lost', async () => {
    service.script(facts(), reset, copied())
    const backend = service.backend()
    expect(await backend.copyFrom(backend, 'from', 'to')).toMatchObject({ etag: 'e2' })
  })

  it('between services or access keys is left to the caller', async () => {
    service.script()
    const backend = service.backend()
    const elsewhere = service.backend({ endpoint: `${service.url}/other` })
    const credentials = { accessKeyId: 'ANOTHER', secretAccessKey: SECRET_KEY }
    const stranger = service.backend({ credentials })
    expect(await backend.copyFrom(elsewhere, 'a', 'b')).toBeUndefined()
    expect(await backend.copyFrom(stranger, 'a', 'b')).toBeUndefined()
    expect(service.requests).toEqual([])
  })

  it('says so when there are no credentials to compare', async () => {
    const credentials = async (): Promise<never> => {
      throw Object.assign(new Error('no'), { name: 'CredentialsProviderError' })
    }
    const error = await failureOf(
      service.backend().copyFrom(service.backend({ credentials }), 'a', 'b'),
    )
    expect(error.code).toBe('UNAUTHORIZED')
  })
})

describe('a copy of more than 5 GiB', () => {
  const size = 5 * GIB + 1
  const big = facts({
    'content-length': `${size}`,
    'content-type': 'application/x-tar',
    'x-amz-meta-own': 'mark',
    'x-amz-storage-class': 'STANDARD_IA',
  })
  const part: Answer = (response, request) => {
    const number = new URL(request.url, 'http://s3').searchParams.get('partNumber')
    xml(`<CopyPartResult><ETag>"p${number}"</ETag></CopyPartResult>`)(response, request)
  }
  const completed = xml(
    '<CompleteMultipartUploadResult><ETag>"e2-11"</ETag></CompleteMultipartUploadResult>',
  )
  const serve = (onPart: Answer): Answer => {
    return (response, request) => {
      const { method, url } = request
      if (method === 'HEAD') return big(response, request)
      if (method === 'DELETE') return answer(204)(response, request)
      if (url.includes('uploads')) return begun(response, request)
      return (url.includes('partNumber') ? onPart : dated)(response, request)
    }
  }
  const dated: Answer = (response, request) => {
    response.setHeader('date', new Date().toUTCString())
    completed(response, request)
  }

  it('is made in parts that meet without a gap', async () => {
    service.always(serve(part))
    const backend = service.backend()
    const info = await backend.copyFrom(backend, 'from', 'to')
    expect(info).toMatchObject({ key: 'to', size, etag: 'e2-11' })
    const ranges = service.requests
      .map(({ headers }) => headers['x-amz-copy-source-range'])
      .filter((range): range is string => typeof range === 'string')
      .map((range) => range.replace('bytes=', '').split('-').map(Number))
      .toSorted(([a = 0], [b = 0]) => a - b)
    expect(ranges).toHaveLength(11)
    let next = 0
    for (const [start, last = 0] of ranges) {
      expect(start).toBe(next)
      next = last + 1
    }
    expect(next).toBe(size)
    for (const { headers } of service.requests.filter(({ url }) => url.includes('partNumber'))) {
      expect(headers['x-amz-copy-source-if-match']).toBe('"e1"')
    }
  })

  it('keeps what describes the object', async () => {
    service.always(serve(part))
    const backend = service.backend()
    await backend.copyFrom(backend, 'from', 'to')
    const begin = service.requests.find(({ url }) => url.includes('uploads'))
    expect(begin?.headers).toMatchObject({
      'content-type': 'application/x-tar',
      'x-amz-meta-own': 'mark',
      'x-amz-storage-class': 'STANDARD_IA',
    })
  })

  it('names its parts in their order at the end', async () => {
    service.always(serve(part))
    const backend = service.backend()
    await backend.copyFrom(backend, 'from', 'to')
    const end = service.requests.at(-1)?.body.toString() ?? ''
    const numbers = [...end.matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, n]) => Number(n))
    expect(numbers).toEqual(Array.from({ length: 11 }, (_, index) => index + 1))
  })

  it.each([
    ['by this copy', true, 'e2-11'],
    ['by another client', false, 'CONFLICT'],
  ])('whose last answer was lost looks whether the object was made %s', async (_, isOwn, end) => {
    let mark = ''
    let ends = 0
    const serveParts = serve(part)
    service.always((response, request) => {
      const { method, url, headers } = request
      if (url.includes('uploads')) mark = String(headers['x-amz-meta-s3lo-write'])
      if (method === 'HEAD' && ends > 0) {
        const id = isOwn ? mark : 'another'
        const found = { etag: '"e2-11"', 'x-amz-meta-s3lo-write': id }
        return facts({ ...found, 'content-length': `${size}` })(response, request)
      }
      if (method !== 'POST' || url.includes('uploads')) return serveParts(response, request)
      ends += 1
      return (ends === 1 ? reset : refuse(404, 'NoSuchUpload'))(response, request)
    })
    const backend = service.backend()
    const outcome = await backend.copyFrom(backend, 'from', 'to').then(
      (info) => info?.etag,
      (error: unknown) => (error as { code: string }).code,
    )
    expect(outcome).toBe(end)
  })

  it('is aborted when a part fails', async () => {
    // Its own service: parts that were given up may still arrive there.
    const own = await FakeS3.start()
    try {
      own.always(serve(refuse(412, 'PreconditionFailed')))
      const backend = own.backend()
      expect((await failureOf(backend.copyFrom(backend, 'from', 'to'))).code).toBe('CONFLICT')
      expect(own.seen).toContain('DELETE /bucket/to?uploadId=up')
      expect(own.seen).not.toContain('POST /bucket/to?uploadId=up')
    } finally {
      await own.close()
    }
  })
})

describe('a touch', () => {
  it('is a copy onto itself that keeps what describes the object', async () => {
    const about = {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-encoding': 'gzip',
      'x-amz-meta-own': 'mark',
      'x-amz-storage-class': 'INTELLIGENT_TIERING',
    }
    service.script(facts(about), copied())
    await service.aws().touch('key')
    expect(service.requests[1]?.headers).toMatchObject({
      ...about,
      'x-amz-copy-source': 'bucket/key',
      'x-amz-metadata-directive': 'REPLACE',
    })
  })

  it('sends no storage class that the service has not named itself', async () => {
    service.script(facts(), copied())
    await service.backend().touch('key')
    expect(service.requests[1]?.headers).not.toHaveProperty('x-amz-storage-class')
  })

  it('is what a copy of an object onto itself comes to', async () => {
    service.script(facts(), copied())
    const backend = service.backend()
    await backend.copyFrom(backend, 'key', 'key')
    expect(service.requests[1]?.headers['x-amz-metadata-directive']).toBe('REPLACE')
  })

  it('of another version than a copy onto itself is asked for is CONFLICT, and nothing is sent', async () => {
    service.script(facts())
    const backend = service.backend()
    const stale = backend.copyFrom(backend, 'key', 'key', { sourceEtag: 'e0' })
    expect((await failureOf(stale)).code).toBe('CONFLICT')
    expect(service.seen).toEqual(['HEAD /bucket/key'])
  })

  it('is UNSUPPORTED where the service keeps the date', async () => {
    service.script(facts(), copied('e1', '2020-01-01T00:00:00Z'))
    expect((await failureOf(service.backend().touch('key'))).code).toBe('UNSUPPORTED')
  })

  it('whose answer was lost has renewed the object, also where that changes the etag', async () => {
    const before = facts({ etag: '"e1-2"' })
    const after = facts({ etag: '"e9"', 'last-modified': 'Sun, 22 Nov 2026 06:00:00 GMT' })
    service.script(before, reset, refuse(412, 'PreconditionFailed'), after, after)
    expect(await service.backend().touch('key')).toMatchObject({ etag: 'e9' })
  })

  it('of an archived object says how to get it back', async () => {
    service.script(facts({ 'x-amz-storage-class': 'GLACIER' }), refuse(403, 'InvalidObjectState'))
    const error = await failureOf(service.backend().touch('key'))
    expect([error.code, error.hint]).toEqual([
      'UNSUPPORTED',
      'restore it first: aws s3api restore-object',
    ])
  })
})
