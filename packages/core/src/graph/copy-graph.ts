import { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { totalSize } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { metered, verified } from '../stream/verify-digest.ts'
import type { GraphPlan, PlannedBlob } from './plan.ts'

export interface CopyGraphOptions extends CallOptions, ProgressOptions {
  /** Blobs in flight at once. */
  readonly concurrency?: number | undefined
}

/** What a copy moved. */
export interface CopyGraphStats {
  readonly blobsCopied: number
  /** Blobs that were there already. */
  readonly blobsSkipped: number
  /** Bytes of the copied blobs. */
  readonly bytesCopied: number
}

const DEFAULT_CONCURRENCY = 10

/**
 * Copies everything of a plan but its root: blobs first, then child manifests, children before
 * parents. What the target has already is skipped, so an interrupted copy goes on where it was.
 * Publishing the root is left to the caller: until then the copy is invisible.
 */
export async function copyGraph(
  source: ImageSource,
  target: ImageTarget,
  plan: GraphPlan,
  { concurrency = DEFAULT_CONCURRENCY, signal, onProgress }: CopyGraphOptions = {},
): Promise<CopyGraphStats> {
  const stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0 }
  const descriptors = plan.blobs.map(({ descriptor }) => descriptor)
  await target.protect?.(digestsOf(plan), { signal })
  onProgress?.({ type: 'plan', blobs: descriptors.length, bytes: totalSize(descriptors) })

  await forEachConcurrent(
    plan.blobs,
    concurrency,
    async (blob, taskSignal) => {
      const phase = await copyBlob(source, target, blob, { signal: taskSignal, onProgress })
      onProgress?.({ type: 'blob', phase, ...blob })
      if (phase === 'skip') stats.blobsSkipped++
      else {
        stats.blobsCopied++
        stats.bytesCopied += blob.descriptor.size
      }
    },
    signal,
  )
  // One after another: they are small, and a parent must not be there before its children.
  for (const document of plan.documents) await copyDocument(target, document, { signal })
  return stats
}

async function copyBlob(
  source: ImageSource,
  target: ImageTarget,
  { descriptor, platform }: PlannedBlob,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<'skip' | 'mount' | 'done'> {
  if (await target.exists(descriptor, { signal })) return 'skip'
  onProgress?.({ type: 'blob', phase: 'start', descriptor, platform })
  if (await target.mount?.(descriptor, source, { signal })) return 'mount'
  const report = onProgress && ((delta: number) => onProgress({ type: 'bytes', descriptor, delta }))
  async function open(): Promise<Readable> {
    const content = await source.fetch(descriptor, { signal })
    return report ? metered(content, report) : content
  }
  try {
    await target.push(descriptor, open, { signal })
  } catch (error) {
    throw ofPlatform(error, platform)
  }
  return 'done'
}

async function copyDocument(
  target: ImageTarget,
  { descriptor, content }: ManifestDocument,
  options: CallOptions,
): Promise<void> {
  if (await target.exists(descriptor, options)) return
  const open = () => Promise.resolve(verified(Readable.from([content]), descriptor))
  await target.push(descriptor, open, options)
}

function digestsOf(plan: GraphPlan): readonly string[] {
  return [
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
  })
}
