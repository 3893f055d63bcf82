import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { S3loError } from '@s3lo/core'
import type { AzureBackend } from '../src/index.ts'
import {
  accepted,
  type Answer,
  content,
  created,
  facts,
  FakeBlobService,
  page,
  refuse,
  reset,
} from './fake-blob-service.ts'

let service: FakeBlobService
beforeAll(async () => {
  service = await FakeBlobService.start()
})
afterAll(() => service.close())

const HTML = '<!DOCTYPE html><html><body>Sign in</body></html>'

function answer(status: number, headers: Record<string, string> = {}, body = ''): Answer {
  return (response, { method }) => {
    response.writeHead(status, headers).end(method === 'HEAD' ? '' : body)
  }
}

/** What has the status of an answer, and is none of any service. */
const FOREIGN: readonly (readonly [string, Answer])[] = [
  ['a page', answer(200, { 'content-type': 'text/html; charset=utf-8' }, HTML)],
  [
    'a page with the headers of a file',
    answer(
      200,
      {
        'content-type': 'text/html',
        etag: '"5f-62a"',
        'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT',
        'content-length': String(HTML.length),
      },
      HTML,
    ),
  ],
  ['a page that calls itself XML', answer(200, { 'content-type': 'application/xml' }, HTML)],
  ['nothing', answer(200)],
  ['nothing, and no content', answer(204)],
  ['a document that is cut', answer(200, {}, '<EnumerationResults><Blobs><Blob><Name>a')],
  ['a document of another kind', answer(200, {}, '<ListBucketResult></ListBucketResult>')],
]

const keysOf = async (infos: AsyncIterable<{ readonly key: string }>): Promise<string[]> =>
  (await Array.fromAsync(infos)).map(({ key }) => key)

const VERBS: Readonly<Record<string, (backend: AzureBackend) => Promise<unknown>>> = {
  list: (backend) => keysOf(backend.list('')),
  listPrefixes: (backend) => Array.fromAsync(backend.listPrefixes('')),
  head: (backend) => backend.head('key'),
  get: (backend) => backend.get('key'),
  put: (backend) => backend.put('key', Buffer.from('x')),
  'put in blocks': (backend) => backend.put('key', Buffer.alloc(20)),
  touch: (backend) => backend.touch('key'),
  copyFrom: (backend) => backend.copyFrom(backend, 'from', 'to'),
  diagnose: (backend) => Array.fromAsync(backend.diagnose()),
  delete: async (backend) => {
    for (const { error } of await backend.delete(['key'])) throw error
  },
}

describe.each(FOREIGN)('%s with a status of success', (_, foreign) => {
  it.each(Object.entries(VERBS))('is no answer to %s', async (_verb, run) => {
    service.script(...Array.from({ length: 20 }, () => foreign))
    expect((await failureOf(run(service.backend({ partBytes: 8 })))).code).toBe('UNAVAILABLE')
  })

  it('is no later page of a listing, and is passed over when an answer follows', async () => {
    service.script(page(['a'], 'next'), foreign, foreign, foreign, foreign)
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
    service.script(page(['a'], 'next'), foreign, page(['b']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a', 'b'])
  })

  it('is no end of a write in blocks, nor the metadata of a touch', async () => {
    const block = answer(201)
    service.script(block, block, block, ...Array.from({ length: 20 }, () => foreign))
    const writing = service.backend({ partBytes: 8 }).put('key', Buffer.alloc(20))
    expect((await failureOf(writing)).code).toBe('UNAVAILABLE')
    service.script(facts(), ...Array.from({ length: 20 }, () => foreign))
    expect((await failureOf(service.backend().touch('key'))).code).toBe('UNAVAILABLE')
  })
})

describe('an error', () => {
  it('without the code of the service does not say that a blob is missing', async () => {
    const missing = answer(404, { 'content-type': 'text/html' }, HTML)
    for (const verb of ['head', 'get', 'list', 'delete', 'copyFrom']) {
      service.script(...Array.from({ length: 20 }, () => missing))
      expect((await failureOf(VERBS[verb]!(service.backend()))).code).toBe('UNAVAILABLE')
    }
  })

  it('that sends the client elsewhere is no answer, and is not followed', async () => {
    const location = `${service.url}/login`
    service.script(...Array.from({ length: 20 }, () => answer(302, { location })))
    expect((await failureOf(service.backend().get('key'))).code).toBe('UNAVAILABLE')
    expect(service.seen.some((line) => line.includes('login'))).toBe(false)
  })
})

describe('a listing', () => {
  it('of blobs elsewhere is an error: their owner would lose them', async () => {
    service.script(page(['a/b', 'c']))
    expect((await failureOf(keysOf(service.backend().list('a/')))).code).toBe('UNSUPPORTED')
  })

  it('of pages that lead to themselves is an error', async () => {
    service.script(page(['a'], 'same'), page(['b'], 'same'), page(['c'], 'same'))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('without bounds is given up', async () => {
    const endless: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/xml' })
      const chunk = Buffer.alloc(1024 * 1024, ' ')
      const more = (): void => void (response.destroyed || response.write(chunk, more))
      more()
    }
    service.script(endless)
    const backend = service.backend({ retry: { attempts: 1 } })
    expect((await failureOf(keysOf(backend.list('')))).code).toBe('UNAVAILABLE')
  })
})

describe('a copy whose first answer was lost', () => {
  const source = () => `${service.url}/bucket/from`
  const pending = refuse(409, 'PendingCopyOperation')

  it('is waited for where it is under way', async () => {
    const underWay = facts({ 'x-ms-copy-status': 'pending', 'x-ms-copy-source': source() })
    const done = facts({ 'content-length': '5', 'x-ms-copy-status': 'success' })
    service.script(reset, pending, underWay, underWay, done)
    const backend = service.backend()
    expect(await backend.copyFrom(backend, 'from', 'to')).toMatchObject({ size: 5 })
  })

  it('is a CONFLICT where the copy under way is of another blob', async () => {
    const other = facts({ 'x-ms-copy-status': 'pending', 'x-ms-copy-source': `${source()}-other` })
    service.script(reset, pending, other)
    const backend = service.backend()
    expect((await failureOf(backend.copyFrom(backend, 'from', 'to'))).code).toBe('CONFLICT')
  })
})

describe('what the service answers', () => {
  it('may lack all that is not needed', async () => {
    service.script(created(), accepted, content('x'))
    const backend = service.backend()
    await backend.put('key', Buffer.from('x'))
    expect(await backend.delete(['key'])).toEqual([])
    const { body } = await backend.get('key')
    expect((await body.toArray()).join('')).toBe('x')
  })
})

async function failureOf(promise: Promise<unknown>): Promise<S3loError> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  return error as S3loError
}
