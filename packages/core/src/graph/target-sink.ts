import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { BlobSink } from '../contract/image-source.ts'
import type { ImageTarget } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { metered } from '../stream/verify-digest.ts'
import type { CopyGraphStats } from './copy-graph.ts'

/** Puts what a streaming source gives into a target, and counts it. */
export class TargetSink implements BlobSink {
  readonly #target: ImageTarget
  readonly #options: CallOptions & ProgressOptions
  readonly #stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0 }

  constructor(target: ImageTarget, options: CallOptions & ProgressOptions) {
    this.#target = target
    this.#options = options
  }

  get stats(): CopyGraphStats {
    return this.#stats
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    const { signal } = this.#options
    const there = await this.#target.exists(descriptor, { signal })
    if (there) {
      this.#stats.blobsSkipped++
      this.#report('skip', descriptor)
    }
    return there
  }

  async put(descriptor: Descriptor, content: Readable): Promise<void> {
    const { signal } = this.#options
    this.#report('start', descriptor)
    const metering = this.#meter(content, descriptor)
    await this.#target.push(descriptor, once(metering, descriptor), { signal })
    this.#count(descriptor)
  }

  async ingest(content: Readable, size: number, mediaType: string): Promise<Descriptor> {
    if (!this.#target.ingest) {
      content.destroy()
      throw new S3loError(
        'UNSUPPORTED',
        `${this.#target.name} cannot take layers whose digest is not known beforehand`,
        { hint: 'push to a store first, then copy from there' },
      )
    }
    const pending = { mediaType, digest: '', size }
    const metering = this.#meter(content, pending)
    const { signal } = this.#options
    const descriptor = await this.#target.ingest(metering, size, mediaType, { signal })
    this.#count(descriptor)
    return descriptor
  }

  #meter(content: Readable, descriptor: Descriptor): Readable {
    const { onProgress } = this.#options
    if (!onProgress) return content
    return metered(content, (delta) => onProgress({ type: 'bytes', descriptor, delta }))
  }

  #count(descriptor: Descriptor): void {
    this.#stats.blobsCopied++
    this.#stats.bytesCopied += descriptor.size
    this.#report('done', descriptor)
  }

  #report(phase: 'start' | 'done' | 'skip', descriptor: Descriptor): void {
    this.#options.onProgress?.({ type: 'blob', phase, descriptor, platform: 'single' })
  }
}

/** An opener for content that passes only once: a target that asks again is told so. */
function once(content: Readable, { digest }: Descriptor): () => Promise<Readable> {
  let opened = false
  return () => {
    if (opened) {
      return Promise.reject(
        new S3loError(
          'UNAVAILABLE',
          `${digest} was interrupted and its source cannot be read twice`,
          {
            hint: 'run the command again: what has arrived is kept',
          },
        ),
      )
    }
    opened = true
    return Promise.resolve(content)
  }
}
