import {
  type CaseContext,
  type ConformanceCase,
  type ConformanceSuite,
  Lacking,
} from '../conformance-case.ts'
import { ALGORITHMS, type Algorithm, digestOf, EMPTY_JSON, randomBlob } from '../content.ts'
import { expectStatus, locationOf } from '../expect.ts'
import type { Feature } from '../feature.ts'
import {
  beginUpload,
  expectProgress,
  finishUpload,
  OCTETS,
  paths,
  putBlob,
  sendChunk,
  uploadOf,
} from '../protocol.ts'
import { checkBlob, checkDelete, checkReadable } from './blob-checks.ts'

type Upload = (context: CaseContext, bytes: Buffer, digest: string) => Promise<string>

/** One way of uploading; gives the Location of the blob. */
export interface UploadWay {
  readonly name: string
  readonly needs?: readonly Feature[]
  readonly upload: Upload
}

const postOnly: Upload = async ({ client, repository, step }, body, digest) => {
  const reply = await step('POST with the blob is answered 201', async () => {
    const path = paths.uploads(repository, `?digest=${digest}`)
    const answer = await client.send({ method: 'POST', path, body, headers: OCTETS })
    expectStatus(answer, 201, 202)
    return answer
  })
  if (reply.status === 201) return locationOf(reply)
  const location = await step('PUT after a POST that is answered 202 is answered 201', () =>
    finishUpload(client, locationOf(reply), digest, { body }),
  )
  await step('POST alone is enough', () =>
    Promise.reject(new Lacking('single-post', 'POST with the blob is answered 202')),
  )
  return location
}

const postPut: Upload = async ({ client, repository, step }, body, digest) => {
  const { location } = await begin({ client, repository, step })
  return step('PUT with the blob is answered 201', () =>
    finishUpload(client, location, digest, { body }),
  )
}

const putStream: Upload = async ({ client, repository, step }, body, digest) => {
  const { location } = await begin({ client, repository, step })
  return step('PUT with a body of unsaid length is answered 201', () =>
    finishUpload(client, location, digest, { body, streamed: true }),
  )
}

const oneChunk: Upload = async ({ client, repository, step }, body, digest) => {
  const { location } = await begin({ client, repository, step })
  const next = await step('PATCH with the blob is answered 202', async () =>
    expectProgress(await sendChunk(client, location, body, 0), 202, body.byteLength),
  )
  return step('PUT without a body is answered 201', () => finishUpload(client, next, digest))
}

const stream: Upload = async ({ client, repository, step }, body, digest) => {
  const { location } = await begin({ client, repository, step })
  const next = await step('PATCH with a body of unsaid length is answered 202', async () => {
    const request = { method: 'PATCH', path: location, body, streamed: true, headers: OCTETS }
    return expectProgress(await client.send(request), 202, body.byteLength)
  })
  return step('PUT without a body is answered 201', () => finishUpload(client, next, digest))
}

type Begin = Pick<CaseContext, 'client' | 'repository' | 'step'>

export function begin({ client, repository, step }: Begin): ReturnType<typeof beginUpload> {
  return step('POST is answered 202 with a Location', () => beginUpload(client, repository))
}

/** Ways that data sets rotate through. */
export const WAYS: readonly UploadWay[] = [
  { name: 'POST only', upload: postOnly, needs: ['single-post'] },
  { name: 'POST and PUT', upload: postPut },
  { name: 'one chunk', upload: oneChunk },
  { name: 'stream', upload: stream },
  { name: 'PUT of unsaid length', upload: putStream },
]

function casesFor(algorithm: Algorithm): readonly ConformanceCase[] {
  const needs: readonly Feature[] = algorithm === 'sha512' ? ['push', 'sha512'] : ['push']
  const section = 'Pushing blobs'
  const named = (name: string): string => `${algorithm} ${name}`
  const ways = WAYS.map(({ name, upload, needs: more = [] }) => ({
    name: named(name),
    section,
    needs: [...needs, ...more],
    run: async (context: CaseContext) => {
      const blob = randomBlob()
      const location = await upload(context, blob, digestOf(blob, algorithm))
      await checkBlob(context, blob, algorithm, location)
    },
  }))
  const contents = [
    { name: 'empty JSON', bytes: EMPTY_JSON, more: [] },
    { name: 'empty blob', bytes: Buffer.alloc(0), more: ['empty-blob'] as const },
  ].flatMap(({ name, bytes, more }) =>
    [postPut, postOnly].map((upload, at) => ({
      name: named(`${name}, ${at === 0 ? 'POST and PUT' : 'POST only'}`),
      section,
      needs: [...needs, ...more, ...(at === 0 ? [] : (['single-post'] as const))],
      run: async (context: CaseContext) => {
        const location = await upload(context, bytes, digestOf(bytes, algorithm))
        await checkBlob(context, bytes, algorithm, location)
      },
    })),
  )
  const others = [
    mountCase(algorithm, 'mount', true),
    mountCase(algorithm, 'mount without a repository', false),
    mountMissing(algorithm),
    pushAgain(algorithm),
  ].map((testCase) => ({
    ...testCase,
    name: named(testCase.name),
    needs: [...needs, ...(testCase.needs ?? [])],
  }))
  return [...ways, ...contents, ...others]
}

function mountCase(algorithm: Algorithm, name: string, isNamed: boolean): ConformanceCase {
  const feature = isNamed ? 'mount' : 'mount-anonymous'
  return {
    name,
    section: 'Mounting a blob from another repository',
    needs: [feature],
    run: async (context) => {
      const { client, repository, otherRepository, step } = context
      const blob = randomBlob()
      const digest = digestOf(blob, algorithm)
      await step('the blob is pushed to the other repository', () =>
        putBlob(client, otherRepository, blob, algorithm),
      )
      const from = isNamed ? `&from=${encodeURIComponent(otherRepository)}` : ''
      const reply = await step('POST with a mount is answered 201', async () => {
        const path = paths.uploads(repository, `?mount=${encodeURIComponent(digest)}${from}`)
        const scopes = [`repository:${otherRepository}:pull`]
        const answer = await client.send({ method: 'POST', path, scopes })
        expectStatus(answer, 201, 202)
        return answer
      })
      if (reply.status === 202) {
        await step('PUT after a mount that is answered 202 is answered 201', () =>
          finishUpload(client, uploadOf(reply).location, digest, { body: blob }),
        )
        await step('the blob is mounted', () =>
          Promise.reject(new Lacking(feature, 'POST with a mount is answered 202')),
        )
      }
      const location = await step('the answer has the Location of the blob', async () =>
        locationOf(reply),
      )
      await checkReadable(context, blob, algorithm, location)
      await checkDelete(context, repository, digest)
      await checkDelete(context, otherRepository, digest)
    },
  }
}

function mountMissing(algorithm: Algorithm): ConformanceCase {
  return {
    name: 'mount of what is not there',
    section: 'Mounting a blob from another repository',
    run: async (context) => {
      const { client, repository, otherRepository, step } = context
      const blob = randomBlob()
      const digest = digestOf(blob, algorithm)
      const location = await step('POST with a mount is answered 202', async () => {
        const query = `?mount=${digest}&from=${encodeURIComponent(otherRepository)}`
        const scopes = [`repository:${otherRepository}:pull`]
        const path = paths.uploads(repository, query)
        const reply = await client.send({ method: 'POST', path, scopes })
        expectStatus(reply, 202)
        return locationOf(reply)
      })
      const where = await step('PUT with the blob is answered 201', () =>
        finishUpload(client, location, digest, { body: blob }),
      )
      await checkBlob(context, blob, algorithm, where)
    },
  }
}

function pushAgain(algorithm: Algorithm): ConformanceCase {
  return {
    name: 'push of what is there',
    section: 'Pushing blobs',
    run: async (context) => {
      const { client, repository, step } = context
      const blob = randomBlob()
      for (const time of ['first', 'second']) {
        await step(`the ${time} push is answered 201`, () =>
          putBlob(client, repository, blob, algorithm),
        )
      }
      await checkReadable(context, blob, algorithm)
    },
  }
}

export const pushBlobsSuite: ConformanceSuite = {
  name: 'push blobs',
  cases: ALGORITHMS.flatMap(casesFor),
}
