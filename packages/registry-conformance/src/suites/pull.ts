import {
  type CaseContext,
  type ConformanceCase,
  type ConformanceSuite,
  Lacking,
} from '../conformance-case.ts'
import { digestOf, imageOf, randomBlob, unknownDigest } from '../content.ts'
import { expectBytes, expectHeader, expectStatus, expectTrue, Mismatch } from '../expect.ts'
import { headerOf } from '../http/message.ts'
import { expectDocument, paths, putBlob, putImage } from '../protocol.ts'
import { expectCode } from './push-refused.ts'

const READS = ['GET', 'HEAD'] as const

const ping: ConformanceCase = {
  name: 'ping',
  section: 'Determining support',
  run: async ({ check, client }) => {
    await check('GET /v2/ is answered 200', async () => {
      expectStatus(await client.send({ method: 'GET', path: '/v2/' }), 200)
    })
  },
}

interface Missing {
  readonly name: string
  readonly path: (repository: string) => string
  readonly codes: readonly string[]
  readonly statuses: readonly number[]
}

const MISSING: readonly Missing[] = [
  {
    name: 'a blob of sha256 that is not there',
    path: (repository) => paths.blob(repository, unknownDigest()),
    codes: ['BLOB_UNKNOWN', 'NAME_UNKNOWN'],
    statuses: [404],
  },
  {
    name: 'a blob of sha512 that is not there',
    path: (repository) => paths.blob(repository, unknownDigest('sha512')),
    codes: ['BLOB_UNKNOWN', 'NAME_UNKNOWN'],
    statuses: [404],
  },
  {
    name: 'a tag that is not there',
    path: (repository) => paths.manifest(repository, 'missing'),
    codes: ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'],
    statuses: [404],
  },
  {
    name: 'a manifest that is not there',
    path: (repository) => paths.manifest(repository, unknownDigest()),
    codes: ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'],
    statuses: [404],
  },
  {
    name: 'a manifest of a bad digest',
    path: (repository) => paths.manifest(repository, 'sha256:baddigeststring'),
    codes: ['DIGEST_INVALID', 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'MANIFEST_INVALID'],
    statuses: [400, 404],
  },
  {
    name: 'a blob of a bad digest',
    path: (repository) => paths.blob(repository, 'sha256:baddigeststring'),
    codes: ['DIGEST_INVALID', 'BLOB_UNKNOWN', 'NAME_UNKNOWN'],
    statuses: [400, 404],
  },
]

const missing: readonly ConformanceCase[] = MISSING.map(({ name, path, codes, statuses }) => ({
  name,
  section: 'Pull',
  run: async ({ check, client, repository }: CaseContext) => {
    for (const method of READS) {
      await check(`${method} is answered ${statuses.join(' or ')}`, async () => {
        expectStatus(await client.send({ method, path: path(repository) }), ...statuses)
      })
    }
    await check(
      'the error has the code of the specification',
      async () =>
        expectCode(await client.send({ method: 'GET', path: path(repository) }), ...codes),
      ['error-codes'],
    )
  },
}))

const RANGE_BLOB = 2048

/** Ranges of a blob of 2048 bytes, and what they select; nothing where that is no byte. */
const RANGES: readonly (readonly [range: string, first?: number, last?: number])[] = [
  ['500-1499', 500, 1499],
  ['500-', 500, 2047],
  ['-500', 1548, 2047],
  ['2000-5000', 2000, 2047],
  ['0-0', 0, 0],
  ['2047-2047', 2047, 2047],
  ['-5000', 0, 2047],
  ['5000-10000'],
  ['2048-'],
]

const ranges: ConformanceCase = {
  name: 'ranges of a blob',
  section: 'Pulling blobs',
  needs: ['push', 'range'],
  run: async ({ check, client, repository, step }) => {
    const blob = randomBlob(RANGE_BLOB)
    const path = paths.blob(repository, digestOf(blob))
    await step('a blob is pushed', () => putBlob(client, repository, blob))
    const read = async (range: string) => {
      const reply = await client.send({ method: 'GET', path, headers: { range } })
      if (reply.status !== 200) return reply
      expectBytes(reply, blob)
      throw new Lacking('range', `GET with Range: ${range} is answered 200`)
    }
    for (const [range, first, last] of RANGES) {
      if (first === undefined || last === undefined) {
        await check(`bytes=${range} is answered 416`, async () => {
          expectStatus(await read(`bytes=${range}`), 416)
        })
        continue
      }
      await check(`bytes=${range} gives ${last - first + 1} bytes`, async () => {
        const reply = await read(`bytes=${range}`)
        expectStatus(reply, 206)
        expectHeader(reply, 'content-length', String(last - first + 1))
        const told = headerOf(reply, 'content-range') ?? ''
        if (![`bytes ${first}-${last}/${RANGE_BLOB}`, `bytes ${first}-${last}/*`].includes(told)) {
          throw new Mismatch('Content-Range', `bytes ${first}-${last}/${RANGE_BLOB}`, told)
        }
        expectBytes(reply, blob.subarray(first, last + 1))
      })
    }
    await check('bytes=500-0 is answered 416, or as no range at all', async () => {
      const headers = { range: 'bytes=500-0' }
      expectStatus(await client.send({ method: 'GET', path, headers }), 416, 200)
    })
    await check('two ranges are answered in parts, or not as ranges', async () => {
      const headers = { range: 'bytes=0-99,200-299' }
      const reply = await client.send({ method: 'GET', path, headers })
      expectStatus(reply, 200, 206, 416)
      if (reply.status === 200) expectBytes(reply, blob)
      if (reply.status !== 206) return
      const type = headerOf(reply, 'content-type') ?? ''
      const isWhole = type.startsWith('multipart/byteranges') || reply.body.byteLength <= 300
      expectTrue(isWhole, 'multipart/byteranges or one range', type)
    })
    await check('a range of another unit is no range', async () => {
      const headers = { range: 'lines=1-2' }
      const reply = await client.send({ method: 'GET', path, headers })
      expectStatus(reply, 200, 416)
      if (reply.status === 200) expectBytes(reply, blob)
    })
  },
}

/** What clients say that they take; the registry may only take it as a hint. */
const ACCEPTS: Readonly<Record<string, string>> = {
  'nothing named': '',
  anything: '*/*',
  'OCI and Docker manifests': [
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.oci.image.index.v1+json',
    '*/*;q=0.1',
  ].join(', '),
}

const accepts: ConformanceCase = {
  name: 'manifests under every Accept',
  section: 'Pulling manifests',
  needs: ['push'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const image = imageOf()
    await step('an image is pushed', () => putImage(client, repository, image, 'v1'))
    for (const [name, accept] of Object.entries(ACCEPTS)) {
      for (const reference of ['v1', image.document.digest]) {
        const what = reference === 'v1' ? 'tag' : 'digest'
        await check(`GET by ${what} with ${name} gives the same bytes`, async () => {
          const headers = { accept }
          const path = paths.manifest(repository, reference)
          expectDocument(
            context,
            await client.send({ method: 'GET', path, headers }),
            image.document,
          )
        })
      }
    }
    await check('a parameter of mirrors (ns) changes nothing', async () => {
      const path = `${paths.manifest(repository, 'v1')}?ns=docker.io`
      expectDocument(context, await client.send({ method: 'GET', path }), image.document)
    })
  },
}

const conditions: ConformanceCase = {
  name: 'conditions on a manifest',
  section: 'beyond',
  needs: ['push', 'conditions'],
  run: async (context) => {
    const { check, client, repository, step } = context
    const [image, other] = [imageOf(), imageOf()]
    const path = paths.manifest(repository, 'v1')
    await step('an image is pushed', () => putImage(client, repository, image, 'v1'))
    await step('another image is pushed by digest', () => putImage(client, repository, other))
    const etag = await step('GET gives an ETag', async () => {
      const tag = headerOf(await client.send({ method: 'GET', path }), 'etag')
      if (tag === undefined) throw new Lacking('conditions', 'GET gives no ETag')
      return tag
    })
    for (const method of READS) {
      await check(`${method} with If-None-Match is answered 304`, async () => {
        const headers = { 'if-none-match': etag }
        expectStatus(await client.send({ method, path, headers }), 304)
      })
      await check(`${method} with If-None-Match of another is answered 200`, async () => {
        const headers = { 'if-none-match': '"other"' }
        expectStatus(await client.send({ method, path, headers }), 200)
      })
    }
    const put = async (headers: Readonly<Record<string, string>>, ...expected: number[]) => {
      const { bytes: body, mediaType } = other.document
      const all = { ...headers, 'content-type': mediaType }
      const reply = await client.send({ method: 'PUT', path, body, headers: all })
      if (reply.status === 201 && !expected.includes(201)) {
        throw new Lacking('conditions', 'PUT with a condition that fails is answered 201')
      }
      expectStatus(reply, ...expected)
    }
    await check('PUT with If-Match of another is answered 412', () =>
      put({ 'if-match': '"other"' }, 412),
    )
    await check('PUT with If-None-Match: * of a tag that is there is answered 412', () =>
      put({ 'if-none-match': '*' }, 412),
    )
    await check('PUT with If-Match is answered 201', () => put({ 'if-match': etag }, 201))
    await check('PUT with If-Match of what was is answered 412', () =>
      put({ 'if-match': etag }, 412),
    )
  },
}

export const pullSuite: ConformanceSuite = {
  name: 'pull',
  cases: [ping, ...missing, ranges, accepts, conditions],
}
