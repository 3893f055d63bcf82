import { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { MountedChunks, Publication } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { BlobReport, reportPlan } from '../progress/blob-report.ts'
import { verified } from '../stream/verify-digest.ts'
import type { GraphPlan, PlannedBlob } from './plan.ts'

export interface CopyGraphOptions extends CallOptions, ProgressOptions {
  /** Blobs in flight at once. Default: few large ones, which fill the line, and many small ones. */
  readonly concurrency?: number | undefined
}

/** What a copy moved. */
export interface CopyGraphStats {
  readonly blobsCopied: number
  /** Blobs that were there already. */
  readonly blobsSkipped: number
  /** Bytes of the copied blobs; of layers in chunks, those that were sent. */
  readonly bytesCopied: number
  /** Chunks of the layers that were encoded, or taken from another store in chunks. */
  readonly chunks?: number
  readonly chunksCopied?: number
}

/** What two copies moved together. */
export function addStats(a: CopyGraphStats, b: CopyGraphStats | undefined): CopyGraphStats {
  if (!b) return a
  return {
    blobsCopied: a.blobsCopied + b.blobsCopied,
    blobsSkipped: a.blobsSkipped + b.blobsSkipped,
    bytesCopied: a.bytesCopied + b.bytesCopied,
    chunks: (a.chunks ?? 0) + (b.chunks ?? 0),
    chunksCopied: (a.chunksCopied ?? 0) + (b.chunksCopied ?? 0),
  }
}

/** Bytes from which a blob's own transfer, not the wait for its answer, takes the time. */
const LARGE_BLOB_BYTES = 4 * 1024 * 1024
const LARGE_AT_ONCE = 6
const SMALL_AT_ONCE = 26

/**
 * Copies everything of a plan but its root: blobs first, then child manifests, children before
 * parents. What the target has already is skipped, so a second run copies only what is missing.
 * Publishing the root is left to the caller: until then the copy is invisible.
 */
export async function copyGraph(
  source: ImageSource,
  publication: Publication,
  plan: GraphPlan,
  { concurrency, signal, onProgress }: CopyGraphOptions = {},
): Promise<CopyGraphStats> {
  const stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0, chunks: 0, chunksCopied: 0 }
  await publication.protect?.(digestsOf(plan), { signal })
  reportPlan(plan.blobs, { onProgress })

  const copyOne = async (blob: PlannedBlob, taskSignal: AbortSignal): Promise<void> => {
    const report = new BlobReport(blob, { onProgress })
    const { phase, mounted } = await copyBlob(source, publication, blob, report, taskSignal)
    report.end(phase)
    if (phase === 'skip') stats.blobsSkipped++
    else addCopied(stats, blob.descriptor, mounted)
  }
  const lanes = lanesOf(plan.blobs, concurrency)
  await forEachConcurrent(
    lanes,
    lanes.length,
    ({ blobs, atOnce }, laneSignal) => forEachConcurrent(blobs, atOnce, copyOne, laneSignal),
    signal,
  )
  // One after another: they are small, and a parent must not be there before its children.
  for (const document of plan.documents) await copyDocument(publication, document, { signal })
  return stats
}

/** Large and small blobs travel side by side: neither kind waits behind the other. */
function lanesOf(
  blobs: readonly PlannedBlob[],
  concurrency: number | undefined,
): readonly { readonly blobs: readonly PlannedBlob[]; readonly atOnce: number }[] {
  if (concurrency !== undefined) return [{ blobs, atOnce: concurrency }]
  const isLarge = ({ descriptor }: PlannedBlob): boolean => descriptor.size >= LARGE_BLOB_BYTES
  return [
    { blobs: blobs.filter(isLarge), atOnce: LARGE_AT_ONCE },
    { blobs: blobs.filter((blob) => !isLarge(blob)), atOnce: SMALL_AT_ONCE },
  ]
}

/** Counts a blob that is copied; of one in chunks, what is sent of it. */
export function addCopied(
  stats: { -readonly [field in keyof CopyGraphStats]-?: number },
  { size }: Descriptor,
  mounted: MountedChunks | undefined,
): void {
  stats.blobsCopied++
  stats.bytesCopied += mounted ? mounted.sent.bytes : size
  stats.chunks += mounted?.chunks ?? 0
  stats.chunksCopied += mounted?.sent.chunks ?? 0
}

async function copyBlob(
  source: ImageSource,
  publication: Publication,
  { descriptor, platform }: PlannedBlob,
  report: BlobReport,
  signal: AbortSignal,
): Promise<{ readonly phase: 'skip' | 'mount' | 'done'; readonly mounted?: MountedChunks }> {
  if (await publication.has(descriptor, { signal })) return { phase: 'skip' }
  report.start()
  const mounted = await publication.mount?.(descriptor, source, { signal })
  if (mounted) return { phase: 'mount', ...(mounted === true ? {} : { mounted }) }
  try {
    await publication.put(
      descriptor,
      async () => report.meter(await source.fetch(descriptor, { signal })),
      { signal },
    )
  } catch (error) {
    throw ofPlatform(error, platform)
  }
  return { phase: 'done' }
}

async function copyDocument(
  publication: Publication,
  { descriptor, content }: ManifestDocument,
  options: CallOptions,
): Promise<void> {
  if (await publication.has(descriptor, options)) return
  const open = () => Promise.resolve(verified(Readable.from([content]), descriptor))
  await publication.put(descriptor, open, options)
}

/** Everything that a published image needs, itself included: what refers to it lives with it. */
export function digestsOf(plan: GraphPlan): readonly string[] {
  return [
    plan.root.descriptor.digest,
    ...plan.blobs.map(({ descriptor }) => descriptor.digest),
    ...plan.documents.map(({ descriptor }) => descriptor.digest),
  ]
}

/** Says which platform a failed blob belongs to, where there are several. */
function ofPlatform(error: unknown, platform: string): unknown {
  if (platform === 'single' || !isS3loError(error)) return error
  return new S3loError(error.code, `${platform}: ${error.message}`, {
    hint: error.hint,
    cause: error,
    details: { ...error.details, platform },
  })
}
