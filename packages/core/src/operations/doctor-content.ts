import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError } from '../errors.ts'
import { blobKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { Digester, parseDigest } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { BlobReport } from '../progress/blob-report.ts'
import type { ImageStore } from '../store/image-store.ts'
import { recycle } from '../stream/recycle.ts'
import type { BlobFault, BlobUse, BlobUses, Contents } from './blob-uses.ts'
import type { RecordSurvey } from './record-survey.ts'
import { type GraphTag, reachable, type StoreGraph } from './store-graph.ts'
import { listStored } from './stored-content.ts'

const REQUESTS_AT_ONCE = 20
const HASHES_AT_ONCE = 4

/** What the readable manifests of a tag name. */
export function* usesOf(
  graph: StoreGraph<BlobUses>,
  tag: GraphTag<BlobUses>,
): Generator<BlobUse, void> {
  for (const { node } of reachable(graph, tag)) if (!isS3loError(node)) yield* node.summary
}

/** What a listing found beside what manifests name. */
interface Stored {
  readonly blobs: number
  /** Of what untagged images alone need. */
  readonly heldBytes: number
  readonly orphans: { readonly count: number; readonly bytes: number }
}

/** Notes what is stored of what manifests name, and counts the rest. */
export async function readStored(
  store: ImageStore,
  contents: Contents,
  records: RecordSurvey,
  options: CallOptions,
): Promise<Stored> {
  const orphans = { count: 0, bytes: 0 }
  let blobs = 0
  let heldBytes = 0
  for (const kind of ['blobs', 'recipes', 'tables', 'go-recipes'] as const) {
    for await (const { digest, info } of listStored(store.backend, kind, options)) {
      if (kind === 'blobs') blobs++
      const content = contents.table.find(digest)
      if (content === undefined) {
        if (records.holds(digest)) heldBytes += info.size
        if (records.keeps(digest)) continue
        orphans.count++
        orphans.bytes += info.size
      } else if (kind === 'blobs') contents.setSize(content, info.size)
      else if (kind === 'tables') contents.tables.set(content, info.size)
      else contents.chunked.add(content)
    }
  }
  return { blobs, orphans, heldBytes }
}

/** The sizes of what the tags name, by the number of the content: 8 bytes for each, where a `Map` takes 40. */
class Wanted {
  readonly #sizes: Float64Array

  constructor(contents: number) {
    this.#sizes = new Float64Array(contents).fill(-1)
  }

  /** The first size that is said of a content counts. */
  add(content: number, size: number): void {
    if (this.size(content) < 0) this.#sizes[content] = size
  }

  /** Bytes; below zero for what is not wanted. */
  size(content: number): number {
    return this.#sizes[content] ?? -1
  }

  /** The wanted contents that a test selects. */
  filter(test: (content: number, size: number) => boolean): readonly number[] {
    const found: number[] = []
    this.#sizes.forEach((size, content) => {
      if (size >= 0 && test(content, size)) found.push(content)
    })
    return found
  }
}

export function collectWanted(
  graph: StoreGraph<BlobUses>,
  tags: readonly GraphTag<BlobUses>[],
  { table }: Contents,
): Wanted {
  const wanted = new Wanted(table.size)
  for (const tag of tags) {
    for (const { content, size } of usesOf(graph, tag)) wanted.add(content, size)
  }
  return wanted
}

/** Asks again for each blob that the listing did not show: it may have come in between. */
export async function findMissing(
  store: ImageStore,
  wanted: Wanted,
  contents: Contents,
  outer: AbortSignal | undefined,
): Promise<void> {
  const suspects = wanted.filter(
    (content) => contents.size(content) === undefined && !contents.chunked.has(content),
  )
  await forEachConcurrent(
    suspects,
    REQUESTS_AT_ONCE,
    async (content, signal) => {
      const form = await store.blobs.form(contents.table.digest(content), { signal })
      if (form === undefined) contents.problems.set(content, 'missing')
    },
    outer,
  )
}

/** Reads what is there whole, and notes what does not have its digest. */
export async function hashAgain(
  store: ImageStore,
  wanted: Wanted,
  contents: Contents,
  { signal: outer, onProgress }: CallOptions & ProgressOptions,
): Promise<{ readonly count: number; readonly bytes: number }> {
  const whole = wanted.filter((content, size) => contents.size(content) === size)
  const total = whole.reduce((sum, content) => sum + wanted.size(content), 0)
  onProgress?.({ type: 'plan', blobs: whole.length, bytes: total })
  await forEachConcurrent(
    whole,
    HASHES_AT_ONCE,
    async (content, signal) => {
      const digest = contents.table.digest(content)
      const size = wanted.size(content)
      const descriptor = { digest, size, mediaType: MEDIA_TYPE.octetStream }
      const report = new BlobReport({ descriptor, platform: 'single' }, { onProgress })
      report.start()
      const problem = await hashBlob(store, descriptor, report, signal)
      if (problem) contents.problems.set(content, problem)
      report.end('done')
    },
    outer,
  )
  return { count: whole.length, bytes: total }
}

/** What is wrong with a blob's bytes, or `undefined`. */
async function hashBlob(
  store: ImageStore,
  descriptor: Descriptor,
  report: BlobReport,
  signal: AbortSignal,
): Promise<BlobFault | undefined> {
  try {
    // Not through a verifying stream: two streams for each of many small blobs are too many.
    const { body } = await store.backend.get(blobKey(descriptor.digest), { signal })
    const digester = new Digester(parseDigest(descriptor.digest).algorithm)
    let received = 0
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      digester.update(chunk)
      received += chunk.byteLength
      report.reach(received)
      recycle(chunk)
    }
    const whole = received === descriptor.size && digester.digest() === descriptor.digest
    return whole ? undefined : 'damaged'
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return 'damaged'
    if (isS3loError(error, 'NOT_FOUND')) return 'missing'
    if (isS3loError(error, 'FORBIDDEN')) return 'unreadable'
    throw error
  }
}
