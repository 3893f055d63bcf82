import { describe, expect, it } from 'vitest'
import { answer, failureOf, keysOf, xml, useFakeS3 } from './fake-s3.ts'

const service = await useFakeS3()

/** Google's front end says so of every answer without content, in the dialect of S3 too. */
const GOOGLE = {
  'content-type': 'text/html; charset=UTF-8',
  'x-guploader-uploadid': 'AJRbA5W',
  server: 'UploadServer',
}

describe('an answer without content that Google calls a page', () => {
  it('is the answer to a write', async () => {
    const date = 'Sat, 21 Nov 2026 06:00:00 GMT'
    service.script(answer(200, { ...GOOGLE, etag: '"5f62a"', date }))
    expect(await service.backend().put('key', Buffer.from('x'))).toMatchObject({ etag: '5f62a' })
  })

  it('is the answer to a deletion, with headers of its own and without', async () => {
    const { server } = GOOGLE
    service.script(
      answer(204, GOOGLE),
      answer(204, { server, 'content-type': GOOGLE['content-type'] }),
    )
    expect(await service.backend().delete(['a\u0001', 'b\u0001'])).toEqual([])
    expect(service.seen).toHaveLength(2)
  })

  it('says that an object is missing', async () => {
    service.script(answer(404, GOOGLE), answer(200, GOOGLE))
    expect(await service.backend().head('key')).toBeUndefined()
  })
})

describe('a document', () => {
  it('may begin with a byte order mark and have no namespace', async () => {
    const body = '\uFEFF<?xml version="1.0"?>\n<ListBucketResult/>\n'
    service.script(answer(200, { 'content-type': 'application/xml' }, body))
    expect(await keysOf(service.backend().list(''))).toEqual([])
  })

  it('with a prefix for its namespace is never an empty listing', async () => {
    const item = '<s:Contents><s:Key>a</s:Key><s:Size>1</s:Size><s:ETag>"1"</s:ETag></s:Contents>'
    service.always(xml(`<s:ListBucketResult xmlns:s="s3">${item}</s:ListBucketResult>`))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })
})

describe('a deletion', () => {
  it('that cannot be looked after fails for its key alone', async () => {
    service.always((response, request) => {
      const isLook = request.method === 'HEAD'
      const isSecond = request.url.startsWith('/bucket/b')
      const status = isLook ? 403 : isSecond ? 204 : 200
      answer(status, { 'x-amz-request-id': '1' })(response, request)
    })
    expect(await service.backend().delete(['a\u0001', 'b\u0001'])).toMatchObject([
      { key: 'a\u0001', error: { code: 'FORBIDDEN' } },
    ])
  })
})
