import {
  type CaseContext,
  type ConformanceCase,
  type ConformanceSuite,
  Lacking,
} from '../conformance-case.ts'
import { ALGORITHMS, type Algorithm, digestOf, randomBlob, unknownDigest } from '../content.ts'
import { expectRefusal, expectStatus, locationOf, Mismatch } from '../expect.ts'
import { headerOf, type Reply } from '../http/message.ts'
import { expectProgress, finishUpload, OCTETS, paths, putUpload, sendChunk } from '../protocol.ts'
import { checkReadable } from './blob-checks.ts'
import { begin } from './push-blobs.ts'

type Try = (context: CaseContext, blob: Buffer, wrong: string) => Promise<Reply>

/** Each sends a blob under the digest of another; the last answer must be a refusal. */
const TRIES: Readonly<Record<string, Try>> = {
  'POST only': async ({ client, repository }, body, wrong) => {
    const path = paths.uploads(repository, `?digest=${wrong}`)
    const reply = await client.send({ method: 'POST', path, body, headers: OCTETS })
    return reply.status === 202 ? putUpload(client, locationOf(reply), wrong, { body }) : reply
  },
  'POST and PUT': async (context, body, wrong) => {
    const { location } = await begin(context)
    return putUpload(context.client, location, wrong, { body })
  },
  'one chunk': async (context, body, wrong) => {
    const { location } = await begin(context)
    const reply = await sendChunk(context.client, location, body, 0)
    return putUpload(context.client, expectProgress(reply, 202, body.byteLength), wrong)
  },
  'a chunk and PUT with a chunk': async (context, body, wrong) => {
    const { location, minChunk } = await begin(context)
    const first = Buffer.concat([body, randomBlob(minChunk)])
    const reply = await sendChunk(context.client, location, first, 0)
    const next = expectProgress(reply, 202, first.byteLength)
    return putUpload(context.client, next, wrong, { body })
  },
  stream: async (context, body, wrong) => {
    const { location } = await begin(context)
    const request = { method: 'PATCH', path: location, body, streamed: true, headers: OCTETS }
    const reply = await context.client.send(request)
    return putUpload(context.client, expectProgress(reply, 202, body.byteLength), wrong)
  },
}

function wrongDigests(algorithm: Algorithm): readonly ConformanceCase[] {
  return Object.entries(TRIES).map(([name, attempt]) => ({
    name: `${algorithm} of other bytes, ${name}`,
    section: 'Pushing blobs',
    needs: algorithm === 'sha512' ? ['push', 'sha512'] : ['push'],
    run: async (context) => {
      const { check, client, repository, step } = context
      const blob = randomBlob()
      const wrong = unknownDigest(algorithm)
      const reply = await attempt(context, blob, wrong)
      await check('it is answered 400', () => expectStatus(reply, 400))
      await check('the error is DIGEST_INVALID', () => expectCode(reply, 'DIGEST_INVALID'), [
        'error-codes',
      ])
      for (const [digest, what] of [
        [wrong, 'the wrong digest'],
        [digestOf(blob, algorithm), 'the right digest'],
      ] as const) {
        await step(`nothing is there under ${what}`, async () => {
          const path = paths.blob(repository, digest)
          expectStatus(await client.send({ method: 'HEAD', path }), 404)
        })
      }
    },
  }))
}

/** The error of a refusal, where the registry says one. */
export function expectCode(reply: Reply, ...codes: readonly string[]): void {
  if (reply.method === 'HEAD') return
  let code = 'no error in JSON'
  try {
    const { errors } = JSON.parse(reply.body.toString()) as { errors?: { code?: string }[] }
    code = errors?.[0]?.code ?? code
  } catch {
    // Said below.
  }
  if (codes.includes(code)) return
  throw new Lacking('error-codes', `expected the error ${codes.join(' or ')}, got ${code}`)
}

/** Digests that are none, or of no known algorithm. */
const BAD_DIGESTS = {
  'an empty one': '',
  'one without a hash': 'sha256:',
  'one without an algorithm': 'a'.repeat(64),
  'one that is too short': `sha256:${'a'.repeat(63)}`,
  'one that is too long': `sha256:${'a'.repeat(65)}`,
  'one of no hex digits': `sha256:${'g'.repeat(64)}`,
  'one of upper case': `sha256:${'A'.repeat(64)}`,
  'one of another algorithm’s length': `sha512:${'a'.repeat(64)}`,
  'one of an unknown algorithm': `md4:${'a'.repeat(32)}`,
  'one with a path': `sha256:../../${'a'.repeat(58)}`,
}

const badDigests: readonly ConformanceCase[] = Object.entries(BAD_DIGESTS).map(
  ([name, digest]) => ({
    name: `an upload under ${name}`,
    section: 'Pushing blobs',
    needs: ['push'],
    run: async (context) => {
      const { check, client } = context
      const { location } = await begin(context)
      await check('PUT is answered 400', async () => {
        expectStatus(await putUpload(client, location, digest, { body: randomBlob() }), 400)
      })
    },
  }),
)

/** Content-Range headers of a chunk of 1024 bytes that do not say which bytes these are. */
const BAD_RANGES = ['bytes 0-1023/1024', '0-', '-1023', 'a-b', '1023-0', '0-1023-5', '0x0-0x3ff']

const badRanges: readonly ConformanceCase[] = [
  ...BAD_RANGES.map((range) => ({ range, what: 'which is no range' })),
  { range: '0-1022', what: 'which is shorter than the chunk' },
  { range: '0-1024', what: 'which is longer than the chunk' },
].map(({ range, what }) => ({
  name: `a chunk with the range ${range}, ${what}`,
  section: 'Pushing a blob in chunks',
  needs: ['push'],
  run: async (context) => {
    const { check, client, step } = context
    const { location } = await begin(context)
    const blob = randomBlob(1024)
    await check('it is answered 400 or 416', async () => {
      const headers = { ...OCTETS, 'content-range': range }
      const reply = await client.send({ method: 'PATCH', path: location, body: blob, headers })
      expectStatus(reply, 400, 416)
    })
    const next = await step('GET says that nothing is there', async () => {
      const reply = await client.send({ method: 'GET', path: location })
      const said = headerOf(reply, 'range') ?? '0-0'
      if (said !== '0-0' && said !== '0--1') throw new Mismatch('Range', '0-0', said)
      return expectProgress(reply, 204, 0)
    })
    const where = await step('the right upload works nevertheless', () =>
      finishUpload(client, next, digestOf(blob), { body: blob }),
    )
    await checkReadable(context, blob, 'sha256', where)
  },
}))

const unknownUploads: readonly ConformanceCase[] = ['GET', 'PATCH', 'PUT', 'DELETE'].map(
  (method) => ({
    name: `${method} of an upload that was never begun`,
    section: 'Pushing blobs',
    needs: method === 'DELETE' ? ['push', 'upload-cancel'] : ['push'],
    run: async ({ check, client, repository }) => {
      await check('it is answered 404', async () => {
        const blob = randomBlob()
        const id = '00000000-0000-4000-8000-000000000000'
        const query = method === 'PUT' ? `?digest=${digestOf(blob)}` : ''
        const body = method === 'PATCH' || method === 'PUT' ? { body: blob, headers: OCTETS } : {}
        const path = paths.uploads(repository, `${id}${query}`)
        const reply = await client.send({ method, path, ...body })
        expectRefusal(reply)
        expectStatus(reply, 404)
      })
    },
  }),
)

export const pushRefusedSuite: ConformanceSuite = {
  name: 'push refused',
  cases: [...ALGORITHMS.flatMap(wrongDigests), ...badDigests, ...badRanges, ...unknownUploads],
}
