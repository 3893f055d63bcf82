import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { BlobSink } from '../contract/image-source.ts'
import type { ImageTarget, Publication } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { formatPlatform } from '../oci/platform.ts'
import { BlobReport } from '../progress/blob-report.ts'
import { verified } from '../stream/verify-digest.ts'
import type { LayerCompression } from './compress-layers.ts'
import { addStats, type CopyGraphStats } from './copy-graph.ts'

/** Puts what a streaming source gives into a target, and counts it. */
export class TargetSink implements BlobSink {
  readonly #publication: Publication
  /** Of the target, for messages. */
  readonly #name: string
  readonly #options: CallOptions & ProgressOptions
  readonly #compression: LayerCompression | undefined
  readonly #settled = new Set<string>()
  readonly #stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0 }

  constructor(
    into: { readonly target: Pick<ImageTarget, 'name'>; readonly publication: Publication },
    options: CallOptions & ProgressOptions,
    compression?: LayerCompression,
  ) {
    this.#compression = compression
    this.#publication = into.publication
    this.#name = into.target.name
    this.#options = options
  }

  get stats(): CopyGraphStats {
    return addStats(this.#stats, this.#compression?.stats)
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    const { signal } = this.#options
    const compression = await this.#compressionOf(descriptor)
    const isKnown = compression?.knows(descriptor) ?? false
    const there = isKnown || (await this.#publication.has(descriptor, { signal }))
    if (there && this.#settle(descriptor)) {
      this.#stats.blobsSkipped++
      this.#reportOn(descriptor).end('skip')
    }
    return there
  }

  async put(descriptor: Descriptor, content: Readable): Promise<void> {
    const { signal } = this.#options
    const open = once(content, descriptor)
    if (isManifestMediaType(descriptor.mediaType)) {
      await this.#publication.put(descriptor, open, { signal })
      return
    }
    const compression = await this.#compressionOf(descriptor)
    if (compression) {
      await this.#compress(compression, content, descriptor)
      return
    }
    const report = this.#reportOn(descriptor)
    report.start()
    await this.#publication.put(
      descriptor,
      async () => report.meter(verified(await open(), descriptor)),
      { signal },
    )
    this.#arrived(report, descriptor)
  }

  async ingest(content: Readable, size: number, mediaType: string): Promise<Descriptor> {
    const compression = await this.#compressionOf({ mediaType })
    if (compression) {
      const digest = await this.#compress(compression, content, { mediaType, size })
      return { mediaType, digest, size }
    }
    if (!this.#publication.ingest) {
      content.destroy()
      throw new S3loError(
        'UNSUPPORTED',
        `${this.#name} cannot take layers whose digest is not known beforehand`,
        { hint: 'push to a store first, then copy from there' },
      )
    }
    const report = this.#reportOn({ mediaType, digest: '', size })
    report.start()
    const { signal } = this.#options
    const metering = report.meter(content)
    const descriptor = await this.#publication.ingest(metering, size, mediaType, { signal })
    this.#arrived(report, descriptor)
    return descriptor
  }

  /** What a layer goes through that is not stored as it comes. */
  async #compressionOf(
    layer: Pick<Descriptor, 'mediaType'>,
  ): Promise<LayerCompression | undefined> {
    const isTaken = await this.#compression?.takes(layer)
    return isTaken ? this.#compression : undefined
  }

  /** Gives the digest of the uncompressed content. */
  async #compress(
    compression: LayerCompression,
    content: Readable,
    layer: Omit<Descriptor, 'digest'> & Partial<Descriptor>,
  ): Promise<string> {
    const report = this.#reportOn({ digest: '', ...layer })
    report.start()
    const { layer: stored, sent } = await compression.put(report.meter(content), layer)
    const descriptor = { ...layer, digest: stored.diffId }
    report.end(sent.blobs > 0 ? 'done' : 'skip', descriptor)
    this.#settle(descriptor)
    return stored.diffId
  }

  #arrived(report: BlobReport, descriptor: Descriptor): void {
    report.end('done', descriptor)
    if (!this.#settle(descriptor)) return
    this.#stats.blobsCopied++
    this.#stats.bytesCopied += descriptor.size
  }

  /** True the first time: a source may ask for a blob again. Child manifests are no blobs to count. */
  #settle({ digest, mediaType }: Descriptor): boolean {
    if (isManifestMediaType(mediaType) || this.#settled.has(digest)) return false
    this.#settled.add(digest)
    return true
  }

  /** Which platforms need a blob, only the end of the stream tells. */
  #reportOn(descriptor: Descriptor): BlobReport {
    const platform = descriptor.platform ? formatPlatform(descriptor.platform) : 'single'
    return new BlobReport({ descriptor, platform }, this.#options)
  }
}

/** An opener for content that passes only once: a target that asks again gets an error. */
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
