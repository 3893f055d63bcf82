import { describe, expect, it } from 'vitest'
import type { S3Backend } from '../src/index.ts'
import {
  type Answer,
  answer,
  begun,
  facts,
  failureOf,
  keysOf,
  page,
  refuse,
  written,
  xml,
  useFakeS3,
} from './fake-s3.ts'

const service = await useFakeS3()

const HTML = '<!DOCTYPE html><html><body>Sign in</body></html>'
const webPage = answer(200, { 'content-type': 'text/html; charset=utf-8' }, HTML)

/** What has the status of an answer, and is none of any service. */
const FOREIGN: readonly (readonly [string, Answer])[] = [
  ['a page', webPage],
  ['a page that calls itself XML', xml('<html><body/></html>')],
  ['a page with the headers of a file', answer(200, fileHeaders(), HTML)],
  ['nothing', answer(200)],
  ['nothing, and no content', answer(204)],
  ['a document that is cut', xml('<ListBucketResult><IsTruncated>false</IsTruncated><Conten')],
  ['a document of another kind', xml('<ListAllMyBucketsResult></ListAllMyBucketsResult>')],
]

function fileHeaders(): Record<string, string> {
  return {
    'content-type': 'text/html',
    etag: '"5f-62a"',
    'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT',
    'content-length': String(HTML.length),
  }
}

const old = { key: 'a', id: '1', startedAt: new Date(0) }
const VERBS: Readonly<Record<string, (backend: S3Backend) => Promise<unknown>>> = {
  list: (backend) => keysOf(backend.list('')),
  listPrefixes: (backend) => Array.fromAsync(backend.listPrefixes('')),
  abandonedUploads: (backend) => Array.fromAsync(backend.abandonedUploads()),
  diagnose: (backend) => Array.fromAsync(backend.diagnose()),
  put: (backend) => backend.put('key', Buffer.from('x')),
  'put in parts': (backend) => backend.put('key', Buffer.alloc(20)),
}

describe.each(FOREIGN)('%s with a status of success', (name, foreign) => {
  it.each(Object.keys(VERBS))('is no answer to %s', async (verb) => {
    service.always(foreign)
    const backend = service.backend({ partBytes: 8 })
    expect((await failureOf(VERBS[verb]!(backend))).code).toBe('UNAVAILABLE')
  })

  it('is no later page of a listing', async () => {
    service.script(page(['a'], 'next'), foreign, foreign, foreign, foreign)
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('is passed over when the next attempt gets an answer', async () => {
    service.script(foreign, page(['a']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a'])
  })

  it('says of no key that it was deleted', async () => {
    service.always((response, request) => {
      const isHead = request.method === 'HEAD'
      return (isHead ? facts({ 'x-amz-request-id': '1' }) : foreign)(response, request)
    })
    expect(await service.backend().delete(['a'])).toMatchObject([
      { key: 'a', error: { code: 'UNAVAILABLE' } },
    ])
    // 204 is all that the deletion of one object has for an answer.
    const single = await service.backend().delete(['b\u0001'])
    const expected = name.includes('no content') ? [] : [{ error: { code: 'UNAVAILABLE' } }]
    expect(single).toMatchObject(expected)
  })

  it('is no completion and no copy', async () => {
    service.always((response, { method, url }) => {
      const request = { method, url, headers: {}, body: Buffer.of() }
      if (method === 'HEAD') return answer(404)(response, request)
      if (method === 'DELETE') return answer(204)(response, request)
      if (url.includes('uploads')) return begun(response, request)
      if (url.includes('partNumber')) return written()(response, request)
      return foreign(response, request)
    })
    const writing = service.backend({ partBytes: 8 }).put('key', Buffer.alloc(20))
    expect((await failureOf(writing)).code).toBe('UNAVAILABLE')
    service.always((response, request) =>
      (request.method === 'HEAD' ? facts() : foreign)(response, request),
    )
    const backend = service.backend()
    expect((await failureOf(backend.copyFrom(backend, 'a', 'b'))).code).toBe('UNAVAILABLE')
    expect((await failureOf(backend.touch('a'))).code).toBe('UNAVAILABLE')
    service.always(foreign)
    // What cannot be aborted now is found again later, so it need not be an error.
    await backend.abortUpload(old).catch(() => {})
  })

  it('is no object, nor the facts of one', async () => {
    service.always(foreign)
    const backend = service.backend()
    expect((await failureOf(backend.head('key'))).code).toBe('UNAVAILABLE')
    expect((await failureOf(backend.get('key'))).code).toBe('UNAVAILABLE')
  })
})

describe('an error', () => {
  it('within an answer of status 200 is that error', async () => {
    const late = xml('<Error><Code>InternalError</Code></Error>\n')
    const denied = xml('<Error><Code>AccessDenied</Code></Error>')
    service.script(late, page(['a']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a'])
    service.script(facts(), denied)
    const backend = service.backend()
    expect((await failureOf(backend.copyFrom(backend, 'a', 'b'))).code).toBe('FORBIDDEN')
    service.script(denied)
    expect((await failureOf(backend.put('a', Buffer.of(1)))).code).toBe('FORBIDDEN')
  })

  it('that is a page does not say that an object is missing', async () => {
    const missing = answer(404, { 'content-type': 'text/html' }, HTML)
    service.always(missing)
    const backend = service.backend()
    expect((await failureOf(backend.get('key'))).code).toBe('UNAVAILABLE')
    expect((await failureOf(backend.head('key'))).code).toBe('UNAVAILABLE')
    expect((await failureOf(keysOf(backend.list('')))).code).toBe('UNAVAILABLE')
    service.always(answer(404))
    expect((await failureOf(backend.get('key'))).code).toBe('UNAVAILABLE')
  })

  it('that sends the client elsewhere is no answer', async () => {
    service.always(answer(302, { location: 'http://login.example/' }))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('of a service with pages of its own stays what it is', async () => {
    service.script(answer(403, { 'content-type': 'text/html' }, HTML))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('FORBIDDEN')
    service.script(refuse(404, 'NoSuchKey', { headers: { 'content-type': 'text/html' } }))
    expect((await failureOf(service.backend().get('key'))).code).toBe('NOT_FOUND')
  })
})

describe('a deletion', () => {
  it('is repeated one by one for keys that the answer leaves out', async () => {
    const partly = xml('<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>')
    service.script(partly, answer(204))
    expect(await service.backend().delete(['a', 'b'])).toEqual([])
    expect(service.seen).toEqual(['POST /bucket/?delete=', 'DELETE /bucket/b'])
  })

  it('that answers another status than 204 is believed only when the object is gone', async () => {
    // The bucket is looked for as well: a HEAD does not say which of the two is missing.
    service.script(answer(200), answer(404), answer(200))
    const backend = service.backend({ retry: { attempts: 2 } })
    expect(await backend.delete(['b\u0001'])).toEqual([])
    service.script(answer(200), facts(), answer(200), facts(), facts())
    expect(await backend.delete(['b\u0001'])).toMatchObject([{ error: { code: 'UNAVAILABLE' } }])
  })
})

describe('a write', () => {
  it('without an etag in its answer is one only where its object is there', async () => {
    service.script(answer(200), facts({ etag: '"of another"' }))
    const error = await failureOf(service.backend().put('key', Buffer.from('x')))
    expect(error.code).toBe('UNAVAILABLE')
  })
})

describe('an answer without bounds', () => {
  it('is given up', async () => {
    const endless: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/xml' })
      const chunk = Buffer.alloc(1024 * 1024, ' ')
      const more = (): void => void (response.destroyed || response.write(chunk, more))
      more()
    }
    service.always(endless)
    const backend = service.backend({ retry: { attempts: 1 } })
    expect((await failureOf(keysOf(backend.list('')))).code).toBe('UNAVAILABLE')
  })
})
