import { once } from 'node:events'
import type { Readable } from 'node:stream'
import {
  type BlobSink,
  type Descriptor,
  digestOf,
  isDigest,
  MAX_CONFIG_BYTES,
  MEDIA_TYPE,
  readAll,
  S3loError,
} from '@s3lo/core'
import { slice } from '../stream/slice.ts'
import type { ByteReader } from '../tar/byte-reader.ts'
import { repeated } from '../tar/tar-index.ts'
import { readTar, type TarEntry } from '../tar/tar-reader.ts'
import type { StoredLayer } from './assemble-image.ts'
import { type ContentForm, layerMediaType, SNIFF_SIZE, sniffForm } from './compression.ts'

/** All documents that are kept in memory while an archive goes by (bytes). */
const MAX_DOCUMENTS = 64 * 1024 * 1024

/** The longest file of before Docker 1.10 (bytes): it names images, or describes one. */
const MAX_LEGACY_FILE = 16 * 1024 * 1024

/** What an archive was found to hold once it has gone by. */
export interface SavedImage {
  /** For messages. */
  readonly archive: string
  /** The JSON files, by name; those named by a digest have been checked. */
  readonly documents: ReadonlyMap<string, Uint8Array>
  /** What the sink has got, by name of the file. */
  readonly blobs: ReadonlyMap<string, StoredLayer>
  /** Which name leads to which other. */
  readonly links: ReadonlyMap<string, string>
}

export interface ReadSaveOptions {
  readonly archive: string
  /** In a docker archive JSON is about the image; in a layout a blob may be JSON too. */
  readonly format: 'docker' | 'layout'
  /** The digests that the image's plain layers are known to have. */
  readonly diffIds?: readonly string[] | undefined
}

type File = Extract<TarEntry, { type: 'file' }>

/**
 * Reads what an engine saves in one pass: layers go to the sink as they come, JSON files stay in
 * memory. Nothing is published by this; a failure leaves only blobs that no image names.
 */
export async function readSave(
  reader: ByteReader,
  sink: BlobSink,
  options: ReadSaveOptions,
): Promise<SavedImage> {
  const save = new SaveReader(reader, sink, options)
  for await (const entry of readTar(reader, options.archive)) await save.take(entry)
  return save
}

class SaveReader implements SavedImage {
  readonly archive: string
  readonly documents = new Map<string, Uint8Array>()
  readonly blobs = new Map<string, StoredLayer>()
  readonly links = new Map<string, string>()
  readonly #reader: ByteReader
  readonly #sink: BlobSink
  /** The known layers that have not come by yet. */
  readonly #awaited: Set<string>
  readonly #format: ReadSaveOptions['format']
  #memory = 0

  constructor(reader: ByteReader, sink: BlobSink, options: ReadSaveOptions) {
    const { archive, format, diffIds = [] } = options
    this.archive = archive
    this.#format = format
    this.#reader = reader
    this.#sink = sink
    this.#awaited = new Set(diffIds)
  }

  async take(entry: TarEntry): Promise<void> {
    if (entry.type === 'directory') return
    const { name } = entry
    if (this.documents.has(name) || this.blobs.has(name) || this.links.has(name)) {
      throw repeated(this.archive, name)
    }
    if (entry.type === 'link') this.links.set(name, entry.target)
    else if (LEGACY_FILES.test(name)) this.#passLegacy(entry)
    else await this.#takeFile(entry)
  }

  /** Passing over a file costs its decompression. */
  #passLegacy({ name, size }: File): void {
    if (size <= MAX_LEGACY_FILE) return
    throw new S3loError('INTEGRITY', `${this.archive} has a ${name} of ${size} bytes`)
  }

  async #takeFile(file: File): Promise<void> {
    const form = sniffForm(await this.#reader.peek(Math.min(SNIFF_SIZE, file.size)))
    if (form === 'json' && (await this.#keepDocument(file))) return
    await this.#giveBlob(file, form)
  }

  /** Keeps a document that tells about the image; all other JSON is passed as a blob. */
  async #keepDocument(file: File): Promise<boolean> {
    const digest = digestInName(file.name)
    if (file.size > MAX_CONFIG_BYTES || this.#memory + file.size > MAX_DOCUMENTS) {
      if (digest !== undefined && this.#format === 'layout') return false
      throw new S3loError('INTEGRITY', `${this.archive} has more JSON than an image can need`)
    }
    const content = await this.#content(file.size, (stream) =>
      readAll(stream, file.size, `${file.name} in ${this.archive}`),
    )
    if (digest !== undefined) await this.#checkDocument(digest, content)
    // Engines give the blobs of a docker archive's layout JSON of before 1.10, which is not needed.
    if (digest !== undefined && !describesImage(content)) {
      if (this.#format === 'docker') return true
      const descriptor = { mediaType: MEDIA_TYPE.octetStream, digest, size: file.size }
      if (!(await this.#sink.has(descriptor))) await this.#sink.put(descriptor, slice(content))
      this.blobs.set(file.name, { path: file.name, form: 'json', digest, size: file.size })
      return true
    }
    this.documents.set(file.name, content)
    this.#memory += content.byteLength
    return true
  }

  async #checkDocument(digest: string, content: Uint8Array): Promise<void> {
    const actual = digestOf(content, digest.startsWith('sha512') ? 'sha512' : 'sha256')
    if (actual === digest) return
    throw new S3loError('INTEGRITY', `${this.archive} has ${actual} under the name of ${digest}`)
  }

  async #giveBlob({ name, size }: File, form: ContentForm): Promise<void> {
    const plain = form === 'tar' || form === 'unknown'
    const named = digestInName(name) ?? (plain ? this.#knownLayer(name) : undefined)
    const digest = named === undefined ? await this.#ingest(name, size, form) : named
    if (named !== undefined) await this.#put({ mediaType: this.#mediaType(form), digest, size })
    this.#awaited.delete(digest)
    this.blobs.set(name, { path: name, form, digest, size })
  }

  /** All that is no JSON in a docker archive is a layer, one without files too. */
  #mediaType(form: ContentForm): string {
    const isLayer = this.#format === 'docker' || ['tar', 'gzip', 'zstd'].includes(form)
    return isLayer ? layerMediaType(form, '') : MEDIA_TYPE.octetStream
  }

  async #put(descriptor: Descriptor): Promise<void> {
    if (await this.#sink.has(descriptor)) return
    await this.#content(descriptor.size, (stream) => this.#sink.put(descriptor, stream))
  }

  async #ingest(name: string, size: number, form: ContentForm): Promise<string> {
    const mediaType = layerMediaType(form, name)
    const stored = await this.#content(size, (stream) => this.#sink.ingest(stream, size, mediaType))
    return stored.digest
  }

  /** Podman names layers by diff id; and when one layer is left, an unnamed file must be that. */
  #knownLayer(name: string): string | undefined {
    const [last] = this.#awaited
    if (last !== undefined && this.#awaited.size === 1) return last
    const digest = `sha256:${/^([0-9a-f]{64})\.tar$/.exec(name)?.[1] ?? ''}`
    return this.#awaited.has(digest) ? digest : undefined
  }

  /** Lends out the next bytes; the reader continues once they have been let go. */
  async #content<T>(size: number, use: (content: Readable) => Promise<T>): Promise<T> {
    const content = this.#reader.content(size)
    // Its reader gets the error; this keeps one that comes after the reading harmless.
    content.on('error', () => {})
    try {
      const result = await use(content)
      if (!content.closed) {
        const closed = once(content, 'close')
        content.destroy()
        await closed
      }
      return result
    } catch (error) {
      content.destroy()
      throw error
    }
  }
}

/** What engines before 1.10 needed, and nothing since. */
const LEGACY_FILES = /^(?:repositories|[0-9a-f]{64}\/(?:VERSION|json))$/

/** The digest that a file's name promises: `blobs/sha256/…`, as OCI layouts have it. */
function digestInName(name: string): string | undefined {
  const [, algorithm, hex] = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/.exec(name) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}

/** True for a manifest, an index or a config; an attestation is content like a layer. */
function describesImage(content: Uint8Array): boolean {
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  return ['"schemaVersion"', '"rootfs"'].some((member) => text.includes(member))
}
