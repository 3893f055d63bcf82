import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type Answer,
  begun,
  completed,
  facts,
  failureOf,
  FakeS3,
  refuse,
  reset,
  resolveToLoopback,
  type SeenRequest,
  written,
  useFakeS3,
} from './fake-s3.ts'

const absent = { condition: { kind: 'absent' } } as const
const unchanged = { condition: { kind: 'unchanged', etag: 'e0' } } as const

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.restoreAllMocks())

/** A body of three parts, the last one shorter. */
const text = 'aaaaaaaabbbbbbbbcc'
const stream = (): Readable => Readable.from([Buffer.from(text)])
const inParts = { partBytes: 8, parallelParts: 2 }

/** A service that keeps what the parts of one upload were. */
function multipart({ onPart, onEnd = completed }: { onPart?: Answer; onEnd?: Answer } = {}): {
  readonly parts: Map<number, SeenRequest>
  readonly answer: Answer
} {
  const parts = new Map<number, SeenRequest>()
  const answerAll: Answer = (response, request) => {
    const query = new URL(request.url, 'http://s3').searchParams
    const number = Number(query.get('partNumber'))
    if (request.method === 'HEAD') return facts({ etag: '"e2-2"' })(response, request)
    if (request.method === 'DELETE') return answer(204)(response, request)
    if (query.has('uploads')) return begun(response, request)
    if (!number) return onEnd(response, request)
    parts.set(number, request)
    const checksum = request.headers['x-amz-checksum-sha256']
    const headers = {
      etag: `"p${number}"`,
      ...(typeof checksum === 'string' && { 'x-amz-checksum-sha256': checksum }),
    }
    return (onPart ?? answer(200, headers))(response, request)
  }
  return { parts, answer: answerAll }
}

describe('a small object', () => {
  it('goes in one request, with its media type, its length and an MD5', async () => {
    service.script(written())
    const info = await service.backend().put('a/b c+d', Buffer.from('text'), {
      mediaType: 'application/json',
    })
    expect(info).toMatchObject({ key: 'a/b c+d', size: 4, etag: 'e1' })
    expect(service.seen).toEqual(['PUT /bucket/a/b%20c%2Bd'])
    const [request] = service.requests
    expect(request?.body.toString()).toBe('text')
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': '4',
      'content-md5': createHash('md5').update('text').digest('base64'),
    })
    expect(Object.keys(request?.headers ?? {}).join(' ')).not.toMatch(/checksum|storage-class/)
  })

  it('has a checksum at AWS that is kept with it: the hash that is signed', async () => {
    service.script(written())
    await service.aws().put('key', Buffer.from('text'))
    const { headers = {} } = service.requests[0] ?? {}
    const digest = createHash('sha256').update('text').digest()
    expect(headers['x-amz-checksum-sha256']).toBe(digest.toString('base64'))
    expect(headers['x-amz-content-sha256']).toBe(digest.toString('hex'))
    expect(headers['content-md5']).toBeUndefined()
  })

  it('is signed by the digest that is known, and hashed for any other kind', async () => {
    service.always(written())
    const hash = (algorithm: string): string => createHash(algorithm).update('text').digest('hex')
    const digests = [`sha256:${'a'.repeat(64)}`, `sha512:${hash('sha512')}`, 'sha256:AB', undefined]
    for (const digest of digests)
      await service.backend().put('key', Buffer.from('text'), { digest })
    const signed = service.requests.map(({ headers }) => headers['x-amz-content-sha256'])
    const own = hash('sha256')
    expect(signed).toEqual(['a'.repeat(64), own, own, own])
  })

  it('is looked up where the service does not say its etag', async () => {
    let mark = ''
    service.always((response, request) => {
      mark = String(request.headers['x-amz-meta-s3lo-write'] ?? mark)
      const found = facts({ etag: '"e7"', 'x-amz-meta-s3lo-write': mark })
      const put = answer(200, { date: new Date().toUTCString() })
      return (request.method === 'HEAD' ? found : put)(response, request)
    })
    expect((await service.backend().put('key', Buffer.from('x'))).etag).toBe('e7')
    expect(service.seen).toEqual(['PUT /bucket/key', 'HEAD /bucket/key'])
  })

  it.each([
    ['a body that is shorter', Readable.from([Buffer.from('abc')])],
    ['a body that is longer', Readable.from([Buffer.from('abcdef')])],
  ])('is not written from %s than was said', async (_, body) => {
    service.script()
    const error = await failureOf(service.backend().put('key', body, { size: 4 }))
    expect([error.code, service.requests]).toEqual(['INTEGRITY', []])
  })
})

describe('the storage class', () => {
  const tiered = { storageClass: 'tiered' } as const

  it('is Intelligent-Tiering for what is to be tiered at AWS', async () => {
    service.script(written(), written())
    await service.aws().put('key', Buffer.from('x'), tiered)
    await service.aws().put('key', Buffer.from('x'), { storageClass: 'standard' })
    const classes = service.requests.map(({ headers }) => headers['x-amz-storage-class'])
    expect(classes).toEqual(['INTELLIGENT_TIERING', undefined])
  })

  it('is never sent to another service, in one request or in parts', async () => {
    service.script(written())
    await service.backend().put('key', Buffer.from('x'), tiered)
    expect(service.requests[0]?.headers).not.toHaveProperty('x-amz-storage-class')
    service.always(multipart().answer)
    await service.backend(inParts).put('key', stream(), tiered)
    for (const { headers } of service.requests) {
      expect(headers).not.toHaveProperty('x-amz-storage-class')
    }
  })
})

describe('a large object', () => {
  it('goes in parts, several at once, and appears with its completion', async () => {
    let waiting: (() => void)[] = []
    const { answer: serve, parts } = multipart()
    service.always((response, request) => {
      if (!request.url.includes('partNumber')) return serve(response, request)
      // Answered only when the second part is there too, so one after the other would never end.
      waiting.push(() => serve(response, request))
      if (waiting.length >= 2 || request.url.includes('partNumber=3')) {
        for (const go of waiting) go()
        waiting = []
      }
    })
    const info = await service.backend(inParts).put('key', stream(), { mediaType: 'text/plain' })
    expect(info).toMatchObject({ size: 18, etag: 'e2-2' })
    const bodies = [1, 2, 3].map((number) => parts.get(number)?.body.toString())
    expect(bodies).toEqual(['aaaaaaaa', 'bbbbbbbb', 'cc'])
    for (const { headers, body } of parts.values()) {
      expect(headers['content-md5']).toBe(createHash('md5').update(body).digest('base64'))
    }
    expect(service.requests[0]?.headers['content-type']).toBe('text/plain')
    const end = service.requests.findLast(({ method }) => method === 'POST')
    const named = [...(end?.body.toString() ?? '').matchAll(/<ETag>([^<]+)<\/ETag>/g)]
    expect(named.map(([, etag]) => etag?.replaceAll('&quot;', '"'))).toEqual([
      '"p1"',
      '"p2"',
      '"p3"',
    ])
  })

  it('has its checksums named at AWS from the beginning to the end', async () => {
    const { answer: serve, parts } = multipart()
    service.always(serve)
    await service.aws(inParts).put('key', stream())
    const [begin] = service.requests
    expect(begin?.headers['x-amz-checksum-algorithm']).toBe('SHA256')
    const sums = [1, 2, 3].map((number) => parts.get(number)?.headers['x-amz-checksum-sha256'])
    const end = service.requests.findLast(({ method }) => method === 'POST')?.body.toString() ?? ''
    const named = [...end.matchAll(/<ChecksumSHA256>([^<]+)<\/ChecksumSHA256>/g)]
    expect(named.map(([, sum]) => sum)).toEqual(sums)
    expect(new Set(sums).size).toBe(3)
  })

  it('has none of them elsewhere', async () => {
    service.always(multipart().answer)
    await service.backend(inParts).put('key', stream())
    for (const { headers, body } of service.requests) {
      expect(Object.keys(headers).join(' ')).not.toContain('checksum')
      expect(body.toString()).not.toContain('Checksum')
    }
  })

  it('is aborted when a part fails for good, and leaves no object', async () => {
    // Its own service: parts that were given up may still arrive there.
    const own = await FakeS3.start()
    try {
      own.always(multipart({ onPart: refuse(403, 'AccessDenied') }).answer)
      const error = await failureOf(own.backend(inParts).put('key', stream()))
      expect(error.code).toBe('FORBIDDEN')
      expect(own.seen).toContain('DELETE /bucket/key?uploadId=up')
      expect(own.seen).not.toContain('POST /bucket/key?uploadId=up')
    } finally {
      await own.close()
    }
  })

  it('is aborted when its body fails', async () => {
    service.always(multipart().answer)
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from(text)
      throw new Error('the disk is gone')
    }
    const body = Readable.from(failing())
    await expect(service.backend(inParts).put('key', body)).rejects.toThrow('the disk is gone')
    expect(service.seen.at(-1)).toBe('DELETE /bucket/key?uploadId=up')
  })

  it('is aborted when its completion is refused', async () => {
    service.always(multipart({ onEnd: refuse(400, 'InvalidPart') }).answer)
    const error = await failureOf(service.backend(inParts).put('key', stream()))
    expect([error.code, service.seen.at(-1)]).toEqual([
      'CONFLICT',
      'DELETE /bucket/key?uploadId=up',
    ])
  })

  it('sends a part again whose answer was lost', async () => {
    let losses = 2
    const onPart: Answer = (response, request) => {
      losses -= 1
      if (losses >= 0) response.destroy()
      else answer(200, { etag: '"p"' })(response, request)
    }
    service.always(multipart({ onPart }).answer)
    expect(await service.backend(inParts).put('key', stream())).toMatchObject({ size: 18 })
    expect(service.delays).toHaveLength(2)
  })

  it('is judged when it is complete: by a condition, at its end', async () => {
    const { answer: serve } = multipart()
    service.always((response, request) =>
      (request.method === 'HEAD' && service.requests.length === 1 ? answer(404) : serve)(
        response,
        request,
      ),
    )
    await service.aws(inParts).put('key', stream(), { ...absent })
    const conditions = service.requests.map(({ method, headers }) => [
      method,
      headers['if-none-match'],
    ])
    expect(conditions.filter(([, condition]) => condition)).toEqual([['POST', '*']])
  })

  it('is not read when its condition does not hold from the start', async () => {
    service.script(facts())
    const body = stream()
    const error = await failureOf(service.aws(inParts).put('key', body, absent))
    expect([error.code, service.seen]).toEqual(['CONFLICT', ['HEAD /key']])
    expect(body.destroyed).toBe(true)
  })

  it('that another client was faster with is a CONFLICT', async () => {
    const { answer: serve } = multipart({ onEnd: refuse(412, 'PreconditionFailed') })
    service.always(serve)
    const error = await failureOf(service.aws(inParts).put('key', stream(), unchangedFor('e2-2')))
    expect(error.code).toBe('CONFLICT')
  })
})

const unchangedFor = (etag: string) => ({ condition: { kind: 'unchanged', etag } }) as const

describe('a conditional write whose answer was lost', () => {
  /** The service took the write, and the mark with which it was made. */
  function lostWrite(later: Answer): Answer {
    let mark: string | undefined
    return (response, request) => {
      const { method, headers } = request
      if (method === 'HEAD') {
        const own = mark === undefined ? {} : { 'x-amz-meta-s3lo-write': mark }
        facts({ etag: '"own"', ...own })(response, request)
      } else if (mark === undefined) {
        mark = String(headers['x-amz-meta-s3lo-write'])
        response.destroy()
      } else later(response, request)
    }
  }

  it('has succeeded when the object is its own', async () => {
    service.always(lostWrite(refuse(412, 'PreconditionFailed')))
    const info = await service.aws().put('key', Buffer.from('x'), absent)
    expect(info.etag).toBe('own')
    expect(service.requests.map(({ method }) => method)).toEqual(['PUT', 'PUT', 'HEAD'])
  })

  it('has succeeded too when the etag has moved on by itself', async () => {
    service.always(lostWrite(refuse(412, 'PreconditionFailed')))
    expect((await service.aws().put('key', Buffer.from('x'), unchanged)).etag).toBe('own')
  })

  it('is a CONFLICT when the object is of another client', async () => {
    service.script(reset, refuse(412, 'PreconditionFailed'), facts())
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), absent))
    expect(error.code).toBe('CONFLICT')
  })

  it('is a CONFLICT when the object is gone', async () => {
    service.script(reset, refuse(404, 'NoSuchKey'), answer(404))
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), unchanged))
    expect(error.code).toBe('CONFLICT')
  })

  it('is a failure when it cannot be looked at', async () => {
    service.script(reset, refuse(412, 'PreconditionFailed'), answer(403))
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), absent))
    expect(error.code).toBe('FORBIDDEN')
  })

  it('is not looked up when no answer was lost', async () => {
    service.script(refuse(412, 'PreconditionFailed'))
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), absent))
    expect([error.code, service.requests.length]).toEqual(['CONFLICT', 1])
  })

  it('is found at the end of an upload in parts, whose completion was lost', async () => {
    let mark = ''
    let ends = 0
    const onEnd: Answer = (response, request) => {
      ends += 1
      if (ends === 1) response.destroy()
      else refuse(404, 'NoSuchUpload')(response, request)
    }
    const { answer: serve } = multipart({ onEnd })
    service.always((response, request) => {
      const { method, headers, url } = request
      if (url.includes('uploads')) mark = String(headers['x-amz-meta-s3lo-write'])
      if (method !== 'HEAD') return serve(response, request)
      const found = { etag: '"own-3"', 'x-amz-meta-s3lo-write': mark }
      return (ends === 0 && url !== '/' ? answer(404) : facts(found))(response, request)
    })
    const info = await service.aws(inParts).put('key', stream(), absent)
    expect(info).toMatchObject({ etag: 'own-3', size: 18 })
    expect(service.requests.some(({ method }) => method === 'DELETE')).toBe(false)
  })

  it('is tried again while AWS lets racing writes wait', async () => {
    service.script(refuse(409, 'ConditionalRequestConflict'), written())
    expect((await service.aws().put('key', Buffer.from('x'), absent)).etag).toBe('e1')
  })
})

describe('a deadline', () => {
  const notAfter = new Date('2031-01-01T00:00:00Z')

  it.each<[string, Answer, number]>([
    ['a connection that broke', reset, 1],
    ['a failure within the service', refuse(500, 'InternalError'), 1],
    ['a proxy, whose service may have it', answer(503), 1],
    ['a service that says it has not begun', refuse(503, 'SlowDown'), 0],
    ['a service that gets too many requests', answer(429), 0],
  ])('tells of an attempt that may still take effect: %s', async (_, first, times) => {
    const lost = refuse(412, 'PreconditionFailed')
    service.script(first, lost, facts({ etag: '"of another"' }))
    const onUnanswered = vi.fn<() => void>()
    const options = { ...unchangedFor('e1'), notAfter, onUnanswered }
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), options))
    expect(error.code).toBe('CONFLICT')
    expect(onUnanswered).toHaveBeenCalledTimes(times)
  })

  it('is the end of a signature in the query, of a small object', async () => {
    service.script(written())
    await service.aws().put('key', Buffer.from('x'), { notAfter })
    const [request] = service.requests
    const query = new URL(request?.url ?? '', 'http://s3').searchParams
    expect(query.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/)
    expect(Number(query.get('X-Amz-Expires'))).toBe(7 * 24 * 3600)
    expect(request?.headers.authorization).toBeUndefined()
  })

  it('leaves in the headers what describes the object, and signs it', async () => {
    service.script(written())
    const storageClass = 'tiered'
    await service.aws().put('key', Buffer.from('x'), { notAfter, storageClass })
    const [request] = service.requests
    const { searchParams } = new URL(request?.url ?? '', 'http://s3')
    const signed = searchParams.get('X-Amz-SignedHeaders')?.split(';')
    const names = ['x-amz-meta-s3lo-write', 'x-amz-storage-class', 'x-amz-checksum-sha256']
    for (const name of names) expect(request?.headers).toHaveProperty(name)
    expect(signed).toEqual(expect.arrayContaining(names))
    expect([...searchParams.keys()].filter((name) => names.includes(name))).toEqual([])
  })

  it('is the end of the completion, of a larger one', async () => {
    service.always(multipart().answer)
    await service.aws().put('key', Buffer.alloc(65 * 1024), { notAfter })
    const signed = service.requests.filter(({ url }) => url.includes('X-Amz-Signature'))
    expect(signed.map(({ method }) => method)).toEqual(['POST'])
  })

  it('that has passed is FORBIDDEN, in words of its own', async () => {
    const past = new Date(Date.now() - 60_000)
    const date = new Date().toUTCString()
    service.script(refuse(403, 'AccessDenied', { headers: { date } }))
    const error = await failureOf(service.aws().put('key', Buffer.from('x'), { notAfter: past }))
    expect(error.message).toBe('the deadline for s3://bucket/key has passed')
    expect(error.code).toBe('FORBIDDEN')
  })
})
