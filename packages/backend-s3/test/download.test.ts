import type { Readable } from 'node:stream'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type Answer,
  content,
  contentOf,
  facts,
  failureOf,
  type FakeS3,
  holdTime,
  page,
  refuse,
  silence,
  STALL_MS,
  textOf,
  useFakeS3,
} from './fake-s3.ts'

const service = await useFakeS3()
afterEach(() => void vi.useRealTimers())

const sentHeaders = (...names: string[]): unknown[] =>
  service.requests.map(({ headers }) => names.map((name) => headers[name]))

describe('an object', () => {
  it('comes with its facts, and no checksum is asked for', async () => {
    service.script(content('0123456789'))
    const { info, body } = await service.backend().get('key')
    expect(info).toMatchObject({ key: 'key', size: 10, etag: 'e1', storageClass: 'STANDARD' })
    body.destroy()
    // The first part is asked for at once: an object that is not longer needs no other request.
    expect(sentHeaders('range', 'x-amz-checksum-mode')).toEqual([['bytes=0-8388607', undefined]])
  })

  it('whose etag a proxy has weakened has the etag that the service knows', async () => {
    service.script(facts({ etag: 'W/"e1"' }))
    expect(await service.backend().head('key')).toMatchObject({ etag: 'e1' })
  })

  it('whose date a proxy has taken has that of the listing', async () => {
    const undated: Answer = (response, request) =>
      answer(
        200,
        { etag: '"e1"', 'content-length': '1' },
        request.method === 'GET' ? '0' : '',
      )(response, request)
    const lastModified = new Date('2026-11-21T06:00:00.000Z')
    service.script(undated, page(['key', 'key2']), undated, page(['key', 'key2']))
    expect(await service.backend().head('key')).toMatchObject({ etag: 'e1', lastModified })
    const { info, body } = await service.backend().get('key')
    expect(info).toMatchObject({ etag: 'e1', lastModified })
    body.destroy()
  })

  it('resumes where the connection broke, of the same version', async () => {
    service.script(
      content('0123456789', { sent: 4 }),
      content('456789', { start: 4, size: 10, sent: 2 }),
      content('6789', { start: 6, size: 10 }),
    )
    expect(await textOf(service.backend().get('key'))).toBe('0123456789')
    expect(sentHeaders('range', 'if-match')).toEqual([
      ['bytes=0-8388607', undefined],
      ['bytes=4-9', '"e1"'],
      ['bytes=6-9', '"e1"'],
    ])
  })

  it('resumes where the service fell silent', async () => {
    const stalled: Answer = (response) => {
      response.writeHead(200, {
        etag: '"e1"',
        'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT',
        'content-length': 10,
      })
      response.write('0123')
    }
    service.script(stalled, silence, content('456789', { start: 4, size: 10 }))
    holdTime()
    const { body } = await service.backend().get('key')
    body.once('data', () => void vi.advanceTimersByTimeAsync(STALL_MS + 1))
    expect(await contentOf(body)).toBe('0123456789')
    expect(sentHeaders('range')).toEqual([['bytes=0-8388607'], ['bytes=4-9'], ['bytes=4-9']])
  })

  it('that was replaced meanwhile is a CONFLICT, and never a mix of two', async () => {
    service.script(content('0123456789', { sent: 4 }), refuse(412, 'PreconditionFailed'))
    expect((await failureOf(textOf(service.backend().get('key')))).code).toBe('CONFLICT')
  })

  it('that the service begins anew in place of a range is not taken', async () => {
    service.script(content('0123456789', { sent: 4 }), content('0123456789'))
    expect((await failureOf(textOf(service.backend().get('key')))).code).toBe('UNSUPPORTED')
  })

  it('that breaks off again and again ends in one clear error', async () => {
    const nothing = content('456789', { start: 4, size: 10, sent: 0 })
    service.script(content('0123456789', { sent: 4 }), nothing, nothing, nothing, nothing, nothing)
    expect((await failureOf(textOf(service.backend().get('key')))).code).toBe('UNAVAILABLE')
  })

  it('that is not there is NOT_FOUND', async () => {
    service.script(refuse(404, 'NoSuchKey'))
    expect((await failureOf(service.backend().get('key'))).code).toBe('NOT_FOUND')
  })

  it('without an etag or a date is not one', async () => {
    service.always(answer(200, { 'content-length': '1' }, 'x'))
    expect((await failureOf(service.backend().get('key'))).code).toBe('UNAVAILABLE')
  })
})

describe('a range', () => {
  it('is half open, and asked for as it is', async () => {
    service.script(content('345', { start: 3, size: 10 }))
    const { info, body } = await service.backend().get('key', { range: { start: 3, end: 6 } })
    expect(info.size).toBe(10)
    body.destroy()
    expect(sentHeaders('range')).toEqual([['bytes=3-5']])
  })

  it('resumes inside itself', async () => {
    service.script(
      content('345', { start: 3, size: 10, sent: 1 }),
      content('45', { start: 4, size: 10 }),
    )
    expect(await textOf(service.backend().get('key', { range: { start: 3, end: 6 } }))).toBe('345')
    expect(sentHeaders('range', 'if-match')).toEqual([
      ['bytes=3-5', undefined],
      ['bytes=4-5', '"e1"'],
    ])
  })

  it('of another place than was asked for is not taken', async () => {
    service.script(content('012', { start: 0, size: 10 }))
    const range = { start: 3, end: 6 }
    expect((await failureOf(service.backend().get('key', { range }))).code).toBe('UNSUPPORTED')
  })
})

describe('a large object', () => {
  const whole = 'aaaaaaaabbbbbbbbccccccccdd'
  /** Gives the range that is asked for. */
  const serve: Answer = (response, request) => {
    if (request.method === 'HEAD') {
      return facts({ 'content-length': `${whole.length}` })(response, request)
    }
    const [, from = '0', to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []
    const start = Number(from)
    const end = to ? Math.min(Number(to) + 1, whole.length) : whole.length
    const size = request.headers.range === undefined ? 0 : whole.length
    content(whole.slice(start, end), { start, size })(response, request)
  }
  const backend = (): ReturnType<FakeS3['backend']> =>
    service.backend({ partBytes: 8, parallelParts: 3 })

  it('comes by several requests, of one version, in order', async () => {
    service.always(serve)
    expect(await textOf(backend().get('key'))).toBe(whole)
    const gets = service.requests.filter(({ method }) => method === 'GET')
    expect(gets.length).toBeGreaterThan(1)
    for (const { headers } of gets.slice(1)) expect(headers['if-match']).toBe('"e1"')
  })

  it('frees its connections when its body is destroyed', async () => {
    service.always(serve)
    const { body }: { body: Readable } = await backend().get('key')
    body.destroy()
    service.script(facts())
    expect(await backend().head('key')).toBeDefined()
  })
})
