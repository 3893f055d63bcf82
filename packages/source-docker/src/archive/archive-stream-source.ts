import type { Readable } from 'node:stream'
import {
  type BlobSink,
  decompress,
  type Descriptor,
  formatImageName,
  type ManifestDocument,
  type Reference,
  S3loError,
  type StreamingSource,
  type TransferOptions,
} from '@s3lo/core'
import { archiveCompression, SNIFF_SIZE } from '../image/compression.ts'
import { finishDockerSave } from '../image/finish-docker-save.ts'
import { finishLayoutSave } from '../image/finish-layout-save.ts'
import { readSave, type SavedImage } from '../image/read-save.ts'
import { LAYOUT_INDEX } from '../layout/layout-files.ts'
import { LayoutEntries, parseLayoutIndex } from '../layout/layout-index.ts'
import { abortable } from '../stream/abortable.ts'
import { StreamReader } from '../tar/byte-reader.ts'

export type ArchiveTransport = 'docker-archive' | 'oci-archive'

/** An archive that can be read only once: from a pipe, or compressed as a whole. */
export class ArchiveStreamSource implements StreamingSource {
  readonly kind = 'streaming'
  readonly name: string
  readonly #transport: ArchiveTransport
  readonly #open: () => Promise<Readable>

  constructor(transport: ArchiveTransport, path: string, open: () => Promise<Readable>) {
    this.name = `${transport} ${path}`
    this.#transport = transport
    this.#open = open
  }

  /** Nothing is known of a stream before it has been read. */
  async matches(): Promise<boolean> {
    return false
  }

  async transfer(
    reference: Reference,
    sink: BlobSink,
    options: TransferOptions = {},
  ): Promise<ManifestDocument> {
    const input = abortable(await this.#open(), options.signal)
    try {
      const reader = await this.#decompressed(input)
      const format = this.#transport === 'docker-archive' ? 'docker' : 'layout'
      const save = await readSave(reader, sink, { archive: this.name, format })
      return format === 'docker'
        ? await finishDockerSave(save, sink, { ...named(reference), platform: options.platform })
        : await finishLayoutSave(save, this.#root(save, reference), sink, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error
    } finally {
      input.destroy()
    }
  }

  #root(save: SavedImage, reference: Reference): Descriptor {
    const index = save.documents.get(LAYOUT_INDEX)
    const { name } = this
    if (index) return new LayoutEntries(parseLayoutIndex(index, name), name).select(reference)
    throw new S3loError('INTEGRITY', `${this.name} has no ${LAYOUT_INDEX}`)
  }

  async #decompressed(input: Readable): Promise<StreamReader> {
    const reader = new StreamReader(input as AsyncIterable<Buffer>, this.name)
    const compression = archiveCompression(await reader.peek(SNIFF_SIZE), this.name)
    if (compression === undefined) return reader
    return new StreamReader(decompress(reader.rest(), compression, this.name), this.name)
  }
}

function named(reference: Reference): { readonly name?: string } {
  return reference.name === '' ? {} : { name: formatImageName(reference) }
}
