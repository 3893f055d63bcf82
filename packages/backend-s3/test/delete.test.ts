import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseXml, textOf } from '../src/xml.ts'
import { answer, type Answer, refuse, reset, resolveToLoopback, xml, useFakeS3 } from './fake-s3.ts'

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.restoreAllMocks())

/** The answer to a batch; the named keys stayed. */
const deleted = (errors: Record<string, string> = {}): Answer => {
  return (response, request) => {
    const items = namesIn(request.body).map((key) =>
      errors[key] === undefined
        ? `<Deleted><Key>${key}</Key></Deleted>`
        : `<Error><Key>${key}</Key><Code>${errors[key]}</Code><Message>no</Message></Error>`,
    )
    xml(`<DeleteResult>${items.join('')}</DeleteResult>`)(response, request)
  }
}

const namesIn = (body: Buffer): string[] =>
  [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key)

const keysOfBatch = (index: number): string[] =>
  namesIn(service.requests[index]?.body ?? Buffer.of())

describe('a deletion', () => {
  it('is one request whose answer names every key, with an MD5 that every service knows', async () => {
    service.script(deleted())
    expect(await service.backend().delete(['a', 'b/c d', 'e&f'])).toEqual([])
    const [request] = service.requests
    expect(service.seen).toEqual(['POST /bucket/?delete='])
    expect(keysOfBatch(0)).toEqual(['a', 'b/c d', 'e&amp;f'])
    expect(request?.body.toString()).not.toContain('<Quiet>true</Quiet>')
    const md5 = createHash('md5')
      .update(request?.body ?? '')
      .digest('base64')
    expect(request?.headers['content-md5']).toBe(md5)
  })

  it('has a checksum that is no MD5 at AWS', async () => {
    service.script(deleted())
    await service.aws().delete(['a'])
    const { headers = {} } = service.requests[0] ?? {}
    expect(headers['x-amz-checksum-sha256']).toBeDefined()
    expect(headers['content-md5']).toBeUndefined()
  })

  it('names any key that XML can hold, as text', async () => {
    service.script(deleted())
    const key = `a]]><b>&amp;"'\u0085\u2028\u{1f600}`
    expect(await service.backend().delete([key])).toEqual([])
    const [object] = parseXml(service.requests[0]?.body.toString() ?? '').children
    expect(object && textOf(object, 'Key')).toBe(key)
  })

  it('of nothing is no request', async () => {
    service.script()
    expect(await service.backend().delete([])).toEqual([])
    expect(service.requests).toEqual([])
  })

  it('of many keys is several requests of a thousand', async () => {
    service.always(deleted())
    const keys = Array.from({ length: 2001 }, (_, index) => `key-${index}`)
    expect(await service.backend().delete(keys)).toEqual([])
    const sizes = service.requests.map((_, index) => keysOfBatch(index).length)
    expect(sizes.toSorted((a, b) => a - b)).toEqual([1, 1000, 1000])
  })

  it('gives the keys that stayed, each with its error, in the order of the call', async () => {
    service.script(deleted({ c: 'AccessDenied', a: 'AccessDenied', d: 'NoSuchKey' }))
    const failures = await service.backend().delete(['a', 'b', 'c', 'd'])
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([
      ['a', 'FORBIDDEN'],
      ['c', 'FORBIDDEN'],
    ])
  })

  it('is tried again for the keys for which the service was busy', async () => {
    service.script(deleted({ b: 'SlowDown', c: 'InternalError', a: 'AccessDenied' }), deleted())
    const failures = await service.backend().delete(['a', 'b', 'c'])
    expect(failures.map(({ key }) => key)).toEqual(['a'])
    expect([keysOfBatch(0), keysOfBatch(1)]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'c'],
    ])
    expect(service.delays).toHaveLength(1)
  })

  it('ends when the service stays busy', async () => {
    service.always(deleted({ a: 'SlowDown' }))
    const failures = await service.backend().delete(['a'])
    expect(failures.map(({ error }) => error.code)).toEqual(['UNAVAILABLE'])
    expect(service.requests).toHaveLength(4)
  })

  it('that was refused as a whole is a failure of each key', async () => {
    service.script(refuse(403, 'AccessDenied'))
    const failures = await service.backend().delete(['a', 'b'])
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([
      ['a', 'FORBIDDEN'],
      ['b', 'FORBIDDEN'],
    ])
  })

  it('whose answer was lost is sent again', async () => {
    service.script(reset, deleted())
    expect(await service.backend().delete(['a'])).toEqual([])
  })
})

describe('a service that deletes only one object at a time', () => {
  it.each([
    [501, 'NotImplemented'],
    [405, 'MethodNotAllowed'],
  ])('(%i %s) is asked for each of them', async (status, code) => {
    service.always((response, request) => {
      const { method, url } = request
      if (method === 'POST') refuse(status, code)(response, request)
      else if (url.includes('denied')) refuse(403, 'AccessDenied')(response, request)
      else if (url.includes('missing')) refuse(404, 'NoSuchKey')(response, request)
      else answer(204)(response, request)
    })
    const failures = await service.backend().delete(['a', 'denied', 'missing', 'b'])
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([['denied', 'FORBIDDEN']])
    expect(service.seen.filter((line) => line.startsWith('DELETE')).toSorted()).toEqual([
      'DELETE /bucket/a',
      'DELETE /bucket/b',
      'DELETE /bucket/denied',
      'DELETE /bucket/missing',
    ])
  })

  it('gets what no XML can name by itself too', async () => {
    service.always((response, request) =>
      (request.method === 'POST' ? deleted() : answer(204))(response, request),
    )
    expect(await service.backend().delete(['a', 'b\u0001'])).toEqual([])
    expect(service.seen).toEqual(['POST /bucket/?delete=', 'DELETE /bucket/b%01'])
  })
})

describe('a deletion with a deadline', () => {
  const notAfter = new Date('2031-01-01T00:00:00Z')

  it('is signed with its end', async () => {
    service.script(deleted())
    expect(await service.aws().delete(['a'], { notAfter })).toEqual([])
    const [request] = service.requests
    expect(request?.url).toContain('X-Amz-Expires=')
    expect(request?.headers.authorization).toBeUndefined()
  })

  it('that has passed is a failure of each key, in words of its own', async () => {
    const date = new Date().toUTCString()
    const past = new Date(Date.now() - 60_000)
    service.script(refuse(403, 'AccessDenied', { headers: { date } }))
    const failures = await service.aws().delete(['a', 'b'], { notAfter: past })
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([
      ['a', 'FORBIDDEN'],
      ['b', 'FORBIDDEN'],
    ])
    expect(failures[0]?.error.message).toMatch(/^the deadline for .* has passed$/)
  })
})
