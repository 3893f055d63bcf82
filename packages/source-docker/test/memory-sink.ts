import { Readable } from 'node:stream'
import {
  type BlobSink,
  type Descriptor,
  digestOf,
  type ImageSource,
  type ManifestDocument,
  readAll,
  S3loError,
} from '@s3lo/core'
import { verified } from '../src/stream/verified.ts'

/** A sink that keeps what it got and how; it can be read from like a source. */
export class MemorySink implements BlobSink, Pick<ImageSource, 'name' | 'fetch'> {
  readonly name = 'memory'
  readonly blobs = new Map<string, Buffer>()
  readonly calls: string[] = []

  constructor(...contents: readonly Uint8Array[]) {
    for (const content of contents) this.blobs.set(digestOf(content), Buffer.from(content))
  }

  async has({ digest, size }: Descriptor): Promise<boolean> {
    return this.blobs.get(digest)?.length === size
  }

  async put(descriptor: Descriptor, content: Readable): Promise<void> {
    this.calls.push(`put ${descriptor.digest}`)
    const checked = verified(content, descriptor, undefined)
    this.blobs.set(descriptor.digest, Buffer.from(await readAll(checked, descriptor.size, 'blob')))
  }

  async ingest(content: Readable, size: number, mediaType: string): Promise<Descriptor> {
    const bytes = Buffer.from(await readAll(content, size, 'blob'))
    const digest = digestOf(bytes)
    this.calls.push(`ingest ${digest}`)
    this.blobs.set(digest, bytes)
    return { mediaType, digest, size: bytes.length }
  }

  async fetch(descriptor: Descriptor): Promise<Readable> {
    const content = this.blobs.get(descriptor.digest)
    if (!content) throw new S3loError('NOT_FOUND', `no ${descriptor.digest}`)
    return verified(Readable.from([content], { objectMode: false }), descriptor, undefined)
  }

  add({ content }: ManifestDocument): void {
    this.blobs.set(digestOf(content), Buffer.from(content))
  }
}
