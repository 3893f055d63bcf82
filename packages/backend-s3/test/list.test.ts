import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf, keysOf, page, refuse, xml, useFakeS3 } from './fake-s3.ts'

const service = await useFakeS3()

const queries = (): URLSearchParams[] =>
  service.requests.map(({ url }) => new URL(url, 'http://s3').searchParams)

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('a listing', () => {
  it('hides its pages', async () => {
    service.script(page(['x/a', 'x/b'], 'next+1/='), page(['x/c']))
    expect(await keysOf(service.backend().list('x/'))).toEqual(['x/a', 'x/b', 'x/c'])
    const [first, second] = queries()
    expect([first?.get('prefix'), first?.get('encoding-type')]).toEqual(['x/', 'url'])
    expect(second?.get('continuation-token')).toBe('next+1/=')
  })

  it('decodes what XML could not hold', async () => {
    const keys = ['a b', 'a%2Fb', 'a+b', 'a/b', 'a<&>b', 'b\u0001', 'ü']
    service.script(page(keys))
    expect(await keysOf(service.backend().list(''))).toEqual(keys)
  })

  it('gives any key as it is', async () => {
    const key = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed())
    const property = fc.asyncProperty(fc.uniqueArray(key, { maxLength: 8 }), async (found) => {
      const keys = found.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      service.script(page(keys))
      expect(await keysOf(service.backend().list(''))).toEqual(keys)
    })
    await fc.assert(property, { numRuns: 100 })
  })

  it('decodes a plus as a space, as AWS writes it', async () => {
    const item = `<Contents><Key>a+b%2Bc</Key><Size>3</Size><ETag>"e"</ETag><LastModified>2026-11-21T06:00:00Z</LastModified><StorageClass>GLACIER</StorageClass></Contents>`
    const list = (encoding: string): string =>
      `<ListBucketResult>${encoding}${item}</ListBucketResult>`
    service.script(xml(list('<EncodingType>url</EncodingType>')), xml(list('')))
    const [info] = await collect(service.backend().list(''))
    expect(info).toEqual({
      key: 'a b+c',
      size: 3,
      etag: 'e',
      lastModified: new Date('2026-11-21T06:00:00Z'),
      storageClass: 'GLACIER',
    })
    // A service that does not know the encoding says nothing of it.
    expect(await keysOf(service.backend().list(''))).toEqual(['a+b%2Bc'])
  })

  it('with a key that is not encoded rightly fails', async () => {
    const item = '<Contents><Key>a%zz</Key><Size>1</Size></Contents>'
    service.script(
      xml(`<ListBucketResult><EncodingType>url</EncodingType>${item}</ListBucketResult>`),
    )
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('gives keys by their bytes, and notices when a service does not', async () => {
    service.script(page(['\uff5e', '\u{1f600}']))
    expect(await keysOf(service.backend().list(''))).toHaveLength(2)
    service.script(page(['b', 'a']))
    const error = await failureOf(keysOf(service.backend().list('')))
    expect([error.code, error.hint]).toEqual([
      'UNSUPPORTED',
      'directory buckets list in no order: use a general purpose bucket',
    ])
  })

  it('notices an order that is wrong from page to page too', async () => {
    service.script(page(['a', 'c'], 't'), page(['b']))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNSUPPORTED')
  })

  it('starts after a key, even where the service ignores that', async () => {
    service.script(page(['a', 'b', 'c']))
    expect(await keysOf(service.backend().list('', { startAfter: 'b' }))).toEqual(['c'])
    expect(queries()[0]?.get('start-after')).toBe('b')
  })

  it('ends with a page that comes back', async () => {
    service.script(page(['a'], 'same'), page(['b'], 'same'))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('follows a token that is there, against all else in the page', async () => {
    const bare = xml(
      '<ListBucketResult><NextContinuationToken>more</NextContinuationToken></ListBucketResult>',
    )
    service.script(page(['a'], 'more', { isTruncated: false }), bare, page(['b']))
    const error = await failureOf(keysOf(service.backend().list('')))
    expect(error.code).toBe('UNAVAILABLE')
    service.script(bare, page(['a'], 'even more', { isTruncated: false }), page(['b']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a', 'b'])
  })

  it('that is truncated and has no token is an error, and no end', async () => {
    service.always(page(['a'], undefined, { isTruncated: true }))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('UNAVAILABLE')
  })

  it('of objects elsewhere is an error: their owner would lose them', async () => {
    service.script(page(['a/b', 'c']))
    expect((await failureOf(keysOf(service.backend().list('a/')))).code).toBe('UNSUPPORTED')
  })

  it('of a bucket that is not there is an error, and not an empty one', async () => {
    service.script(refuse(404, 'NoSuchBucket'))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('NOT_FOUND')
  })

  it('asks for the next page only when it is read that far', async () => {
    service.script(page(['a', 'b'], 'next'))
    for await (const { key } of service.backend().list('')) if (key === 'a') break
    expect(service.requests).toHaveLength(1)
  })

  it('stops when the call is aborted', async () => {
    const controller = new AbortController()
    const reason = new Error('stop')
    service.script(page(['a', 'b']))
    const { signal } = controller
    const reading = (async () => {
      for await (const { key } of service.backend().list('', { signal })) {
        if (key === 'a') controller.abort(reason)
      }
    })()
    await expect(reading).rejects.toBe(reason)
  })
})

describe('the folders', () => {
  const folders = (names: readonly string[], next = ''): ReturnType<typeof xml> => {
    const items = names.map(
      (name) => `<CommonPrefixes><Prefix>${encodeURIComponent(name)}</Prefix></CommonPrefixes>`,
    )
    const token = next && `<NextContinuationToken>${next}</NextContinuationToken>`
    return xml(
      `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${next !== ''}</IsTruncated>` +
        `${token}${items.join('')}</ListBucketResult>`,
    )
  }

  it('below a prefix come once each, in order, from every page', async () => {
    service.script(folders(['x/a/', 'x/b c/'], 'next'), folders(['x/b c/', 'x/d/']))
    const names = await collect(service.backend().listPrefixes('x/'))
    expect(names).toEqual(['x/a/', 'x/b c/', 'x/d/'])
    expect(queries().map((query) => query.get('delimiter'))).toEqual(['/', '/'])
  })
})

describe('abandoned uploads', () => {
  const upload = (key: string, id: string): string =>
    `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>2026-11-20T00:00:00Z</Initiated></Upload>`
  const result = (body: string): ReturnType<typeof xml> =>
    xml(`<ListMultipartUploadsResult>${body}</ListMultipartUploadsResult>`)

  it('come from every page', async () => {
    service.script(
      result(
        `<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>${upload('a', '1')}`,
      ),
      result(upload('b', '2')),
    )
    expect(await collect(service.backend().abandonedUploads())).toEqual([
      { key: 'a', id: '1', startedAt: new Date('2026-11-20T00:00:00Z') },
      { key: 'b', id: '2', startedAt: new Date('2026-11-20T00:00:00Z') },
    ])
    const [, second] = queries()
    expect([second?.get('key-marker'), second?.get('upload-id-marker')]).toEqual(['a', '1'])
  })

  it('end with the page that says so, though it names the last of them', async () => {
    service.script(
      result(`<IsTruncated>false</IsTruncated><NextKeyMarker>a</NextKeyMarker>${upload('a', '1')}`),
    )
    expect(await collect(service.backend().abandonedUploads())).toHaveLength(1)
  })

  it('that are truncated and have no token are an error, and so is a page that comes back', async () => {
    service.always(result('<IsTruncated>true</IsTruncated>'))
    const reading = collect(service.backend().abandonedUploads())
    expect((await failureOf(reading)).code).toBe('UNAVAILABLE')
    service.always(
      result(`<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>${upload('a', '1')}`),
    )
    const again = collect(service.backend().abandonedUploads())
    expect((await failureOf(again)).code).toBe('UNAVAILABLE')
  })

  it('are ended, and one that has ended already is no failure', async () => {
    service.script(refuse(404, 'NoSuchUpload'), refuse(403, 'AccessDenied'))
    const backend = service.backend()
    const old = { key: 'a', id: '1', startedAt: new Date() }
    await backend.abortUpload(old)
    expect((await failureOf(backend.abortUpload(old))).code).toBe('FORBIDDEN')
  })
})
