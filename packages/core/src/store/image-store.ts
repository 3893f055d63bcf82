import { Readable } from 'node:stream'
import type { OpenFrameCache } from '../chunk/encode-layer.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, ImageSource, PlainLayer } from '../contract/image-source.ts'
import type { BeginOptions, ImageTarget } from '../contract/image-target.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { StoreFacts } from '../contract/store-facts.ts'
import type { BucketConfig } from '../config/bucket-config.ts'
import { S3loError } from '../errors.ts'
import { boundedDelay, defaultDelay } from '../gc/participant.ts'
import type { ProtectionOptions } from '../gc/protection.ts'
import { legacyPrefix, manifestKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { verified } from '../stream/verify-digest.ts'
import { BlobStore } from './blobs.ts'
import { CurrentConfig } from './current-config.ts'
import { ManifestMemory } from './manifest-memory.ts'
import { findManifest, readLegacyManifest, readTagVersion } from './manifests.ts'
import { readRecord } from './records.ts'
import { readReferrers, type ReadReferrersOptions } from './referrers.ts'
import { RepositoryReach } from './repository-reach.ts'
import { SeenTags } from './seen-tags.ts'
import { StorePublication } from './publication.ts'
import type { WindowOptions } from './name-window.ts'
import { readReferrerTags, readRepositories, readTags, type RepositoriesOptions } from './tags.ts'
import { formatStore } from '../layout/format-store.ts'

export interface ImageStoreOptions {
  /** The clock that history entries are dated by; default: the store's, by the date of the tag. */
  readonly now?: (() => Date) | undefined
  /** Milliseconds of a clock that is never set, by which `s3lo.yaml` is read again; default: the process's. */
  readonly clock?: (() => number) | undefined
  /** How long pins live and how waiting for a collector is done. */
  readonly protection?: ProtectionOptions | undefined
  /** Frames of chunks that were made before. */
  readonly frames?: OpenFrameCache | undefined
}

/**
 * Images in a bucket: a source and a target over any backend, in layout v1.1.0 (v1.0.0 is read).
 * A root manifest lives only under its tag; everything else lives under its digest.
 */
export class ImageStore implements ImageSource, ImageTarget, StoreFacts {
  readonly kind = 'random-access'
  readonly takesIndexReferrers = true
  readonly hasReferrerRecords = true
  readonly backend: StorageBackend
  readonly blobs: BlobStore
  readonly #options: ImageStoreOptions
  readonly #config: CurrentConfig
  readonly #manifests = new ManifestMemory()
  readonly #seen = new SeenTags()
  readonly #reach: RepositoryReach

  constructor(backend: StorageBackend, options: ImageStoreOptions = {}) {
    this.backend = backend
    this.blobs = new BlobStore(backend)
    this.#reach = new RepositoryReach(backend)
    this.#config = new CurrentConfig(backend, options.clock)
    this.#options = options
  }

  get name(): string {
    return `${this.backend.scheme}://${this.backend.bucket}`
  }

  /**
   * The bucket's `s3lo.yaml`; an empty one when there is none. What was read is believed for five
   * seconds, and longer while the object is the same. A failed read is not remembered. Throws `INTEGRITY`.
   */
  config(options?: CallOptions): Promise<BucketConfig> {
    return this.#config.read(options)
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
        ? ((await this.#readTag(reference, options)) ??
          (await this.#readLegacy(reference, options)))
        : await this.#findDigest(reference.name, reference.digest, options)
    if (document) this.#remember(reference.name, document)
    return document
  }

  async resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return (await this.read(reference, options)).descriptor
  }

  async fetch(descriptor: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    const root =
      (await this.#manifests.content(descriptor.digest, options)) ??
      (await this.#readReferrer(descriptor, options))
    if (!root) return this.blobs.open(descriptor, options)
    const { start, end } = options.range ?? { start: 0 }
    return options.range
      ? Readable.from([root.subarray(start, end)])
      : verified(Readable.from([root]), descriptor)
  }

  plainLayer(descriptor: Descriptor, options?: CallOptions): Promise<PlainLayer | undefined> {
    return this.blobs.plainLayer(descriptor, options)
  }

  /** The repositories that have a tag, or a window of them, in the order of their UTF-8 bytes. */
  repositories(options?: RepositoriesOptions): AsyncIterable<string> {
    return readRepositories(this.backend, options)
  }

  /** The tags of a repository, or a window of them, in the order of their UTF-8 bytes. */
  tags(repository: string, options?: WindowOptions): AsyncIterable<string> {
    return readTags(this.backend, repository, options)
  }

  /** The tags of what refers to the image's manifests without naming them: cosign's. */
  referrerTags(image: string, options?: CallOptions): AsyncIterable<string> {
    return readReferrerTags(this.backend, image, options)
  }

  /** See {@link readReferrers}. */
  referrers(
    repository: string,
    { digest }: Descriptor,
    options?: ReadReferrersOptions,
  ): AsyncIterable<Descriptor> {
    return readReferrers(this.backend, { repository, subject: digest }, options)
  }

  begin({ onProgress, purpose, maxWaitMs = Infinity }: BeginOptions = {}): StorePublication {
    const { now, protection, frames } = this.#options
    const { delay = defaultDelay } = protection ?? {}
    return new StorePublication(this.backend, this.blobs, {
      who: purpose,
      ...protection,
      delay: boundedDelay(delay, maxWaitMs, 'what is pushed'),
      onProgress,
      now,
      seen: this.#seen,
      config: (options) => this.config(options),
      frames,
    })
  }

  async close(): Promise<void> {
    await this.backend.close?.()
  }

  /** What a repository alone has: a manifest that was attached there. */
  async #readReferrer(
    { mediaType, digest }: Descriptor,
    { repository, signal }: FetchOptions,
  ): Promise<Uint8Array | undefined> {
    if (repository === undefined || !isManifestMediaType(mediaType)) return undefined
    return (await readRecord(this.backend, repository, digest, { signal }))?.content
  }

  async #readTag(
    reference: Reference,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    const version = await readTagVersion(this.backend, reference, options)
    this.#seen.note(reference, version && { reference, ...version })
    return version?.document
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

  #remember(repository: string, { descriptor, content }: ManifestDocument): void {
    const { digest } = descriptor
    this.#manifests.add(digest, content, ({ signal }) =>
      this.#findDigest(repository, digest, { signal }),
    )
  }

  #findDigest(
    repository: string,
    digest: string,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    return findManifest(this.backend, this.#reach, { repository, digest }, options)
  }
}
