import type { Readable } from 'node:stream'
import type {
  ContentSource,
  FetchOptions,
  ImageSource,
  PlainLayer,
} from '../contract/image-source.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { StreamingTarget } from '../contract/image-target.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import { BlobReport, reportPlan } from '../progress/blob-report.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { CopyGraphStats } from './copy-graph.ts'
import type { GraphPlan, PlannedBlob } from './plan.ts'

/** Gives an image to a target that takes it whole. Blobs that the target does not ask for count as skipped. */
export async function giveImage(
  source: ImageSource,
  target: StreamingTarget,
  root: ManifestDocument,
  plan: GraphPlan,
  reference: Reference,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<CopyGraphStats> {
  reportPlan(plan.blobs, { onProgress })
  const content = new ReportedSource(source, plan.blobs, { onProgress })
  await target.receive(root, content, reference, { signal })
  return content.finish()
}

/** A source of which every blob is reported: a target may read one twice, or leave it unread. */
class ReportedSource implements ContentSource {
  readonly name: string
  readonly #source: ImageSource
  readonly #blobs: ReadonlyMap<string, PlannedBlob>
  readonly #options: ProgressOptions
  readonly #begun = new Map<string, BlobReport>()
  readonly #ended = new Set<string>()

  constructor(source: ImageSource, blobs: readonly PlannedBlob[], options: ProgressOptions) {
    this.name = source.name
    this.#source = source
    this.#options = options
    this.#blobs = new Map(blobs.map((blob) => [blob.descriptor.digest, blob]))
  }

  async fetch(descriptor: Descriptor, options?: FetchOptions): Promise<Readable> {
    const content = await this.#source.fetch(descriptor, options)
    const blob = this.#blobs.get(descriptor.digest)
    if (!blob || options?.range) return content
    return this.#report(blob, content)
  }

  async plainLayer(descriptor: Descriptor, options?: CallOptions): Promise<PlainLayer | undefined> {
    const layer = await this.#source.plainLayer?.(descriptor, options)
    const blob = this.#blobs.get(descriptor.digest)
    if (!layer || !blob) return layer
    const open = async (fetch?: FetchOptions): Promise<Readable> => {
      const content = await layer.open(fetch)
      return fetch?.range ? content : this.#report(blob, content, layer.size)
    }
    return { ...layer, open }
  }

  /** Says of the blobs that were not read that they were skipped, and counts both. */
  finish(): CopyGraphStats {
    const stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0 }
    for (const blob of this.#blobs.values()) {
      const { digest, size } = blob.descriptor
      if (this.#ended.has(digest)) {
        stats.blobsCopied++
        stats.bytesCopied += size
      } else {
        stats.blobsSkipped++
        new BlobReport(blob, this.#options).end('skip')
      }
    }
    return stats
  }

  /** `size`: of the content, where it is not the blob itself (bytes). */
  #report(blob: PlannedBlob, content: Readable, size?: number): Readable {
    const { digest } = blob.descriptor
    const report = this.#begun.get(digest) ?? this.#begin(blob)
    return report.meter(content, size).once('end', () => {
      if (this.#ended.has(digest)) return
      this.#ended.add(digest)
      report.end('done')
    })
  }

  #begin(blob: PlannedBlob): BlobReport {
    const report = new BlobReport(blob, this.#options)
    this.#begun.set(blob.descriptor.digest, report)
    report.start()
    return report
  }
}
