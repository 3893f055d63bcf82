import type { Readable } from 'node:stream'
import type { ProgressOptions } from '../contract/progress.ts'
import { type Descriptor, totalSize } from '../oci/descriptor.ts'
import { metered } from '../stream/verify-digest.ts'

/** A blob to report, and the platform that needs it: `os/arch[/variant]`, or `single`. */
export interface ReportedBlob {
  readonly descriptor: Descriptor
  readonly platform: string
}

/** Reports the `plan` of one image: all of its blobs, each once. */
export function reportPlan(blobs: readonly ReportedBlob[], { onProgress }: ProgressOptions): void {
  const bytes = totalSize(blobs.map(({ descriptor }) => descriptor))
  onProgress?.({ type: 'plan', blobs: blobs.length, bytes })
}

/** Reports an image that is in place already: its plan, and each blob as skipped. */
export function reportPresent(blobs: readonly ReportedBlob[], options: ProgressOptions): void {
  reportPlan(blobs, options)
  for (const blob of blobs) new BlobReport(blob, options).end('skip')
}

/** Reports what becomes of one blob, by the rules of `ProgressEvent`. */
export class BlobReport {
  readonly #blob: ReportedBlob
  readonly #onProgress: ProgressOptions['onProgress']
  /** Bytes that were reported. */
  #furthest = 0

  constructor(blob: ReportedBlob, { onProgress }: ProgressOptions) {
    this.#blob = blob
    this.#onProgress = onProgress
  }

  start(): void {
    this.#onProgress?.({ type: 'blob', phase: 'start', ...this.#blob })
  }

  /**
   * The content, reported while it passes. Of content that is opened again only what is new counts.
   * Content of another `size` than the blob's (bytes) counts in proportion.
   */
  meter(content: Readable, size: number = this.#blob.descriptor.size): Readable {
    if (!this.#onProgress) return content
    let position = 0
    return metered(content, (delta) => {
      position += delta
      this.reach(
        position === size ? Infinity : Math.floor((position / size) * this.#blob.descriptor.size),
      )
    })
  }

  /** Reports that the blob has moved as far as `position` (bytes). */
  reach(position: number): void {
    const delta = Math.min(position, this.#blob.descriptor.size) - this.#furthest
    if (delta <= 0) return
    this.#furthest += delta
    this.#onProgress?.({ type: 'bytes', descriptor: this.#blob.descriptor, delta })
  }

  /** `descriptor`: where the digest was not known at the start. */
  end(phase: 'done' | 'skip' | 'mount', descriptor: Descriptor = this.#blob.descriptor): void {
    this.#onProgress?.({ type: 'blob', phase, ...this.#blob, descriptor })
  }
}
