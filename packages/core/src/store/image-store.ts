import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, ImageSource, PlainLayer } from '../contract/image-source.ts'
import type {
  AttachOptions,
  BeginOptions,
  ImageTarget,
  TagOptions,
} from '../contract/image-target.ts'
import type { DeadlineOptions, StorageBackend } from '../contract/storage-backend.ts'
import {
  type BucketConfig,
  MAX_BUCKET_CONFIG_BYTES,
  parseBucketConfig,
} from '../config/bucket-config.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { ProtectionOptions } from '../gc/writer.ts'
import { blobKey, BUCKET_CONFIG_KEY, legacyPrefix, manifestKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { verified } from '../stream/verify-digest.ts'
import { BlobStore } from './blobs.ts'
import { appendHistory, historyEntry } from './history.ts'
import { findManifest, readLegacyManifest, readTagManifest } from './manifests.ts'
import { readObject } from './read-object.ts'
import { putTag } from './put-tag.ts'
import { ReferrerStore } from './referrers.ts'
import { StoreWriter } from './store-writer.ts'
import { readFallbackTags, readTags } from './tags.ts'
import { formatStore } from '../layout/format-store.ts'

export interface ImageStoreOptions {
  /** The clock that history entries are dated by; default: the store's, by the date of the tag. */
  readonly now?: (() => Date) | undefined
  /** How long pins live and how waiting for a collector is done. */
  readonly protection?: ProtectionOptions | undefined
}

/**
 * Images in a bucket: a source and a target over any backend, in layout v1.1.0 (v1.0.0 is read).
 * A root manifest lives only under its tag; everything else lives under its digest.
 */
export class ImageStore implements ImageSource, ImageTarget {
  readonly kind = 'random-access'
  readonly backend: StorageBackend
  readonly blobs: BlobStore
  readonly referrerStore: ReferrerStore
  readonly #options: ImageStoreOptions
  /** Of the publication that is being made through this object. */
  #writer: StoreWriter | undefined
  /** The writer of the last publication, which may be over. */
  #published: StoreWriter | undefined
  /** False for a view of a store that its opener closes. */
  #ownsBackend = true
  /** Manifests that were read and whose bytes are not under their digest: of tags and of referrers. */
  readonly #roots = new Map<string, Uint8Array>()
  #config: Promise<BucketConfig> | undefined

  constructor(backend: StorageBackend, options: ImageStoreOptions = {}) {
    this.backend = backend
    this.blobs = new BlobStore(backend)
    this.referrerStore = new ReferrerStore(backend)
    this.#options = options
  }

  get name(): string {
    return `${this.backend.scheme}://${this.backend.bucket}`
  }

  /** The bucket's `s3lo.yaml`, read once; an empty one when there is none. Throws `INTEGRITY`. */
  async config(options?: CallOptions): Promise<BucketConfig> {
    this.#config ??= this.#readConfig(options)
    return this.#config
  }

  /** The manifest that a tag or digest names, of either layout. Throws `NOT_FOUND`. */
  async read(reference: Reference, options?: CallOptions): Promise<ManifestDocument> {
    const document = await this.find(reference, options)
    if (document) return document
    // An object and a bucket that are not there read alike; asked for its facts, the bucket says so.
    await this.backend.head(manifestKey(reference), options)
    throw new S3loError('NOT_FOUND', `${formatImageName(reference)} is not in ${this.name}`, {
      hint: `s3lo list ${formatStore(this.backend)} shows what is there`,
    })
  }

  /** As {@link read}, but absence is a value. */
  async find(reference: Reference, options?: CallOptions): Promise<ManifestDocument | undefined> {
    const document =
      reference.digest === undefined
        ? ((await readTagManifest(this.backend, reference, options)) ??
          (await this.#readLegacy(reference, options)))
        : await findManifest(this.backend, reference.name, reference.digest, options)
    if (document) this.#roots.set(document.descriptor.digest, document.content)
    return document
  }

  async resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return (await this.read(reference, options)).descriptor
  }

  async fetch(descriptor: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    const root = this.#roots.get(descriptor.digest)
    if (!root) return this.blobs.open(descriptor, options)
    const { start, end } = options.range ?? { start: 0 }
    return options.range
      ? Readable.from([root.subarray(start, end)])
      : verified(Readable.from([root]), descriptor)
  }

  plainLayer(descriptor: Descriptor, options?: CallOptions): Promise<PlainLayer | undefined> {
    return this.blobs.plainLayer(descriptor, options)
  }

  tags(repository: string, options?: CallOptions): AsyncIterable<string> {
    return readTags(this.backend, repository, options)
  }

  /** The tags of what refers to the image's manifests without naming them: cosign's. */
  fallbackTags(image: string, options?: CallOptions): AsyncIterable<string> {
    return readFallbackTags(this.backend, image, options)
  }

  async *referrers(subject: Descriptor, options?: CallOptions): AsyncGenerator<Descriptor> {
    for await (const { descriptor, content } of this.referrerStore.list(subject, options)) {
      this.#roots.set(descriptor.digest, content)
      yield descriptor
    }
  }

  /** The same store for one publication: what it pins is kept apart. Its close leaves the store open. */
  begin({ onProgress, purpose }: BeginOptions = {}): ImageStore {
    const protection = { who: purpose, ...this.#options.protection, onProgress }
    const store = new ImageStore(this.backend, { ...this.#options, protection })
    store.#ownsBackend = false
    return store
  }

  exists(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    return this.#writing().has(descriptor, options)
  }

  async push(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    const write = async (): Promise<void> => this.blobs.put(descriptor, await open(), options)
    await this.#writing().store(descriptor, write, options)
  }

  async ingest(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    const descriptor = await this.blobs.ingest(content, size, mediaType, options)
    await this.#writing().store(descriptor, () => Promise.resolve(), options)
    return descriptor
  }

  /** Server-side copy of a blob of another bucket of the same store. */
  async mount(
    descriptor: Descriptor,
    source: ImageSource,
    options?: CallOptions,
  ): Promise<boolean> {
    if (!(source instanceof ImageStore)) return false
    const key = blobKey(descriptor.digest)
    let isCopied = false
    const write = async (): Promise<void> => {
      const info = await this.backend.copyFrom?.(source.backend, key, key, options)
      isCopied = info?.size === descriptor.size
      if (!isCopied) throw NOT_COPIED
    }
    try {
      await this.#writing().store(descriptor, write, options)
      return isCopied
    } catch (error) {
      if (error === NOT_COPIED) return false
      // Not in the source as one object: the caller's fetch finds it elsewhere or says what is wrong.
      if (isS3loError(error, 'NOT_FOUND')) return false
      throw error
    }
  }

  attach(
    referrer: ManifestDocument,
    subject: Descriptor,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: AttachOptions,
  ): Promise<void> {
    return this.#writing().attach(referrer, subject, open, options)
  }

  /** Keeps collectors away from the digests until the tag is published or this is closed. */
  protect(digests: readonly string[], options?: CallOptions): Promise<void> {
    return this.#writing().protect(digests, options)
  }

  /** True when the source is this store: what one of its tags names is there already. */
  async adopt(
    root: ManifestDocument,
    from: { readonly source: ImageSource; readonly reference: Reference },
    digests: readonly string[],
    options?: CallOptions,
  ): Promise<boolean> {
    const { source, reference } = from
    if (!(source instanceof ImageStore) || reference.digest !== undefined) return false
    // The name alone proves nothing: two endpoints may have a bucket of it. The manifest does.
    if (source.name !== this.name) return false
    return this.#writing().adopt(root, reference, digests, options)
  }

  /**
   * Publishes the tag with one write of its manifest, then records it in the tag's history. A tag
   * that is to be created and has this very manifest already is left as it is.
   */
  async tag(root: ManifestDocument, reference: Reference, options: TagOptions = {}): Promise<void> {
    const { signal, imageSize = 0, forced = false, onProgress } = options
    const { isWritten, at } = await this.#publish(root, reference, options)
    this.#roots.set(root.descriptor.digest, root.content)
    if (!isWritten) return this.#release()
    const now = this.#options.now?.() ?? at ?? new Date()
    const entry = historyEntry(now, root.descriptor.digest, imageSize, forced)
    const released = this.#release()
    try {
      const isMended = await appendHistory(this.backend, reference, entry, { signal })
      const message = `the history of ${formatImageName(reference)} was damaged: what could not be read is gone from it`
      if (isMended) onProgress?.({ type: 'notice', code: 'history-mended', message })
    } catch (error) {
      // The tag is published: that its record failed is worth a line, not a failed push.
      const reason = error instanceof Error ? error.message : String(error)
      const message = `history of ${formatImageName(reference)} was not recorded: ${reason}`
      onProgress?.({ type: 'notice', code: 'history-not-recorded', message })
    } finally {
      await released
    }
  }

  async lost(options?: CallOptions): Promise<readonly Descriptor[]> {
    return (await this.#published?.lost(options)) ?? []
  }

  async close(): Promise<void> {
    await this.#release()
    if (this.#ownsBackend) await this.backend.close?.()
  }

  #writing(): StoreWriter {
    this.#writer ??= new StoreWriter(this.backend, this.blobs, this.#options.protection)
    return this.#writer
  }

  async #release(): Promise<void> {
    const writer = this.#writer
    this.#writer = undefined
    await writer?.release()
  }

  /** `at` is by the store's clock, and `undefined` where the write got no answer. */
  async #publish(
    root: ManifestDocument,
    reference: Reference,
    { signal, ...options }: TagOptions,
  ): Promise<{ readonly isWritten: boolean; readonly at?: Date | undefined }> {
    let published: { readonly isWritten: boolean; readonly at?: Date | undefined } = {
      isWritten: true,
    }
    const put = async (guards: DeadlineOptions): Promise<void> => {
      const info = await putTag(this.backend, root, reference, { ...options, ...guards, signal })
      published = { isWritten: info !== undefined, at: info?.lastModified }
    }
    const writer = this.#writing()
    await writer.publish(root, reference, put, { signal })
    this.#published = writer
    return published
  }

  async #readLegacy(
    reference: Reference,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    const prefix = legacyPrefix(reference)
    const document = await readLegacyManifest(this.backend, reference, options)
    if (document && prefix !== undefined) this.blobs.addLegacyPrefix(prefix)
    return document
  }

  async #readConfig(options?: CallOptions): Promise<BucketConfig> {
    const content = await readObject(
      this.backend,
      BUCKET_CONFIG_KEY,
      MAX_BUCKET_CONFIG_BYTES,
      options,
    )
    return content ? parseBucketConfig(content) : { default: {}, images: {} }
  }
}

/** Thrown and caught here: a copy that did not happen counts for nothing. */
const NOT_COPIED = new S3loError('UNSUPPORTED', 'the store cannot copy that itself')
