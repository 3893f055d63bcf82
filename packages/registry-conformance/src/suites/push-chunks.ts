import type { CaseContext, ConformanceCase, ConformanceSuite } from '../conformance-case.ts'
import { ALGORITHMS, type Algorithm, digestOf, randomBlob } from '../content.ts'
import { expectStatus, locationOf } from '../expect.ts'
import { headerOf } from '../http/message.ts'
import { expectProgress, finishUpload, OCTETS, putUpload, rangeOf, sendChunk } from '../protocol.ts'
import { checkBlob } from './blob-checks.ts'
import { begin } from './push-blobs.ts'

const CHUNKS = 3

interface Options {
  /** Whether PUT carries the last chunk. */
  readonly putsLast: boolean
  /** What is sent before each right chunk, and must be refused. */
  readonly before: 'nothing' | 'a wrong chunk' | 'the chunk before'
}

async function uploadChunks(
  context: CaseContext,
  algorithm: Algorithm,
  { putsLast, before }: Options,
): Promise<void> {
  const { client, step } = context
  const { location, minChunk } = await begin(context)
  const blob = randomBlob(CHUNKS * minChunk - 5)
  const digest = digestOf(blob, algorithm)
  const chunkAt = (at: number): Buffer => blob.subarray(at * minChunk, (at + 1) * minChunk)
  let next = location
  for (let at = 0; at < CHUNKS; at += 1) {
    const first = at * minChunk
    const isLast = at === CHUNKS - 1
    const wrong = before === 'nothing' ? undefined : wrongChunk(before, at)
    if (wrong !== undefined) {
      const isPut = putsLast && isLast
      await step(`chunk ${wrong + 1} in place of ${at + 1} is answered 416`, async () => {
        const chunk = chunkAt(wrong)
        const headers = { 'content-range': rangeOf(chunk, wrong * minChunk) }
        const reply = isPut
          ? await putUpload(client, next, digest, { body: chunk, headers })
          : await sendChunk(client, next, chunk, wrong * minChunk)
        expectStatus(reply, 416)
      })
      next = await step(`GET after it says that ${first} bytes are there`, async () =>
        expectProgress(await client.send({ method: 'GET', path: next }), 204, first),
      )
    }
    if (putsLast && isLast) break
    next = await step(`chunk ${at + 1} is answered 202`, async () => {
      const reply = await sendChunk(client, next, chunkAt(at), first)
      return expectProgress(reply, 202, Math.min(first + minChunk, blob.byteLength))
    })
  }
  const last = chunkAt(CHUNKS - 1)
  const headers = { 'content-range': rangeOf(last, (CHUNKS - 1) * minChunk) }
  const where = await step('PUT is answered 201', () =>
    finishUpload(client, next, digest, putsLast ? { body: last, headers } : {}),
  )
  await checkBlob(context, blob, algorithm, where)
}

/** Ahead while there is something ahead, and back to the start at the end. */
function wrongChunk(before: Options['before'], at: number): number | undefined {
  if (before === 'a wrong chunk') return at === CHUNKS - 1 ? 0 : at + 1
  return at === 0 ? undefined : at - 1
}

const VARIANTS: readonly (Options & { readonly name: string })[] = [
  { name: 'chunks', putsLast: false, before: 'nothing' },
  { name: 'chunks, the last by PUT', putsLast: true, before: 'nothing' },
  { name: 'chunks out of order', putsLast: false, before: 'a wrong chunk' },
  { name: 'chunks out of order, the last by PUT', putsLast: true, before: 'a wrong chunk' },
  { name: 'chunks sent twice', putsLast: false, before: 'the chunk before' },
  { name: 'chunks sent twice, the last by PUT', putsLast: true, before: 'the chunk before' },
]

const variants = ALGORITHMS.flatMap((algorithm) =>
  VARIANTS.map((options) => ({
    name: `${algorithm} ${options.name}`,
    section: 'Pushing a blob in chunks',
    needs: algorithm === 'sha512' ? (['push', 'sha512'] as const) : (['push'] as const),
    run: (context: CaseContext) => uploadChunks(context, algorithm, options),
  })),
)

/** Where the bytes of a cut chunk end. */
const CUTS = [0, 1, 700, 2047]

const cutChunks: readonly ConformanceCase[] = CUTS.map((cutAt) => ({
  name: `a chunk that is cut off after ${cutAt} bytes`,
  section: 'beyond',
  needs: ['push', 'resume'],
  run: async (context) => {
    const { client, step } = context
    const { location } = await begin(context)
    const blob = randomBlob(4096)
    const next = await step('the first chunk is answered 202', async () =>
      expectProgress(await sendChunk(client, location, blob.subarray(0, 2048), 0), 202, 2048),
    )
    await step('the second chunk is cut off', async () => {
      const headers = { ...OCTETS, 'content-range': '2048-4095' }
      const body = blob.subarray(2048)
      const request = { method: 'PATCH', path: next, body, headers, cutAt }
      await client.send(request).catch(() => {})
    })
    const { size, where } = await step('GET says how much is there, and no more', async () => {
      const reply = await client.send({ method: 'GET', path: next })
      expectStatus(reply, 204)
      const there = Number(/^0-(\d+)$/.exec(headerOf(reply, 'range') ?? '')?.[1]) + 1
      if (there >= 2048 && there <= 2048 + cutAt) {
        return { size: there, where: headerOf(reply, 'location') ?? next }
      }
      throw new Error(`Range: expected 2048 to ${2048 + cutAt} bytes, got ${there}`)
    })
    const rest = blob.subarray(size)
    const path = new URL(where, client.base).href
    const done = await step('the rest from there is taken', async () =>
      expectProgress(await sendChunk(client, path, rest, size), 202, 4096),
    )
    const put = await step('PUT is answered 201', () => finishUpload(client, done, digestOf(blob)))
    await checkBlob(context, blob, 'sha256', put)
  },
}))

const concurrent: ConformanceCase = {
  name: 'two chunks at once for one place',
  section: 'beyond',
  needs: ['push', 'one-writer'],
  run: async (context) => {
    const { client, step } = context
    const { location } = await begin(context)
    const blob = randomBlob(2048)
    const other = randomBlob(2048)
    const replies = await step('one is answered 202, the other is refused', async () => {
      const ping = (): Promise<unknown> => client.send({ method: 'GET', path: '/v2/' })
      // So there are three connections.
      await Promise.all([ping(), ping(), ping()])
      let release = (): void => {}
      const half = new Promise<void>((resolve) => {
        release = resolve
      })
      const sent = [blob, other].map((bytes) => sendChunk(client, location, bytes, 0, half))
      // Both have begun when what was sent after them is answered; none can have ended.
      await ping()
      await ping()
      release()
      const both = await Promise.all(sent)
      const taken = both.filter(({ status }) => status === 202)
      if (taken.length === 1) return both
      throw new Error(`expected one 202, got ${both.map(({ status }) => status).join(' and ')}`)
    })
    const kept = replies[0]?.status === 202 ? blob : other
    const next = await step('GET says that one is there', async () => {
      const [path = ''] = replies.filter(({ status }) => status === 202).map(locationOf)
      return expectProgress(await client.send({ method: 'GET', path }), 204, kept.byteLength)
    })
    const put = await step('PUT with its digest is answered 201', () =>
      finishUpload(client, next, digestOf(kept)),
    )
    await checkBlob(context, kept, 'sha256', put)
  },
}

export const pushChunksSuite: ConformanceSuite = {
  name: 'push chunks',
  cases: [...variants, ...cutChunks, concurrent],
}
