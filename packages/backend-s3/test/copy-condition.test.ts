import { describe, expect, it } from 'vitest'
import { facts, failureOf, refuse, xml, useFakeS3 } from './fake-s3.ts'

const COPIED = xml(
  '<CopyObjectResult><ETag>"e9"</ETag><LastModified>2026-11-21T06:00:00Z</LastModified>' +
    '</CopyObjectResult>',
)
const REFUSED = refuse(412, 'PreconditionFailed')

const service = await useFakeS3()

describe('a copy that the service refuses by the etag of its source', () => {
  it('goes by the date when the etag is still the same, as Swift needs for large objects', async () => {
    service.script(facts(), REFUSED, facts(), COPIED)
    const backend = service.backend()
    expect((await backend.copyFrom(backend, 'from', 'to'))?.etag).toBe('e9')
    const last = service.requests.at(-1)?.headers
    expect(last?.['x-amz-copy-source-if-match']).toBeUndefined()
    expect(last?.['x-amz-copy-source-if-unmodified-since']).toBe('Sat, 21 Nov 2026 06:00:00 GMT')
  })

  it('fails when the source is another one by now', async () => {
    service.script(facts(), REFUSED, facts({ etag: '"e2"' }))
    const backend = service.backend()
    const error = await failureOf(backend.copyFrom(backend, 'from', 'to'))
    expect([error.code, service.requests.length]).toEqual(['CONFLICT', 3])
  })

  it('fails when the date is another one as well', async () => {
    service.script(facts(), REFUSED, facts(), REFUSED)
    const backend = service.backend()
    const error = await failureOf(backend.copyFrom(backend, 'from', 'to'))
    expect([error.code, service.requests.length]).toEqual(['CONFLICT', 4])
  })
})
