import type { Readable } from 'node:stream'
import type { OpenFrameCache } from '../chunk/encode-layer.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type {
  AttachOptions,
  AttachPlace,
  MountedChunks,
  Publication,
  TagOptions,
} from '../contract/image-target.ts'
import type { BucketConfig } from '../config/bucket-config.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { LayerCompressor } from '../contract/layer-compressor.ts'
import { isStore } from '../contract/store-facts.ts'
import { S3loError } from '../errors.ts'
import type { Origin } from '../gc/protected-write.ts'
import { Protection, type ProtectionOptions } from '../gc/protection.ts'
import { manifestKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { BlobStore } from './blobs.ts'
import { GoNeighbour } from './go-neighbour.ts'
import { recordWrite } from './history.ts'
import { readClosure } from './closure.ts'
import { type KeepBlob, lookIn } from './content-look.ts'
import { CopiedChunks } from './copied-chunks.ts'
import { beginLayerForm } from './layer-form.ts'
import { StoreLayers } from './store-layers.ts'
import { type Displacing, type PresentTag, readPresentTag } from './displace.ts'
import { provenGuarantees } from './guarantees.ts'
import { readTagManifest } from './manifests.ts'
import { type PublishedTag, publishTag } from './publish-tag.ts'
import type { SeenTags } from './seen-tags.ts'
import { ChunkWriter } from './write-chunks.ts'
import { recordPlace, writeRecord } from './records.ts'
import {
  attachReferrer,
  detachReferrer,
  type ListedReferrer,
  relistReferrer,
  writeReferrerEntry,
} from './referrer-writes.ts'

const LOOKUPS_AT_ONCE = 16
const RECORDS_AT_ONCE = 8

export interface StorePublicationOptions extends ProtectionOptions {
  /** The clock that history entries are dated by; default: the store's, by the date of the tag. */
  readonly now?: (() => Date) | undefined
  /** What tags were when they were last read. */
  readonly seen?: SeenTags | undefined
  /** What `s3lo.yaml` says; default: nothing. */
  readonly config?: ((options?: CallOptions) => Promise<BucketConfig>) | undefined
  /** Frames of chunks that were made before. */
  readonly frames?: OpenFrameCache | undefined
}

/** How the records of an image are written. */
interface RecordImageOptions extends CallOptions, Pick<TagOptions, 'children'> {
  readonly origin: Origin | undefined
  /** The tag names the image already. */
  readonly isUnchanged: boolean
}

/** What a tag of the same store names, which is about to get another name. */
interface Adopted {
  readonly digest: string
  readonly origin: Origin
}

/**
 * What goes into a store under one tag, out of the reach of collectors. What is known beforehand is
 * pinned at once, before any look at it; what a stream brings is written first, and pinned and
 * looked for as a whole before the tag.
 */
export class StorePublication implements Publication {
  readonly #backend: StorageBackend
  readonly #blobs: BlobStore
  readonly #now: (() => Date) | undefined
  readonly #seen: SeenTags | undefined
  readonly #protection: Protection
  readonly #neighbour: GoNeighbour
  readonly #config: (options?: CallOptions) => Promise<BucketConfig>
  readonly #frames: OpenFrameCache | undefined
  readonly #copied: CopiedChunks
  #layers: StoreLayers | undefined
  /** Content that was seen or written without a pin, which proves nothing yet. */
  readonly #unproven = new Map<string, Descriptor>()
  #adopted: Adopted | undefined
  #released: Promise<unknown> | undefined
  /** By the store's clock. */
  #releasedAt = 0

  constructor(
    backend: StorageBackend,
    blobs: BlobStore,
    { now, seen, config = noConfig, frames, ...options }: StorePublicationOptions = {},
  ) {
    this.#backend = backend
    this.#blobs = blobs
    this.#now = now
    this.#seen = seen
    this.#neighbour = new GoNeighbour(backend)
    this.#config = config
    this.#frames = frames
    const keep: KeepBlob = (descriptor, info, call) =>
      this.#neighbour.keep(descriptor, info, this.#time, call)
    this.#protection = new Protection(backend, lookIn(backend, blobs, keep), options)
    this.#copied = new CopiedChunks({ backend, protection: this.#protection, config })
  }

  /** Pins digests: three requests in all, if they come in one call. */
  protect(digests: readonly string[], options?: CallOptions): Promise<void> {
    return this.#protection.protect(digests, options)
  }

  async has(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    if (this.#layers?.holds(descriptor)) return true
    if (this.#protection.covers(descriptor.digest)) return this.#isProven(descriptor, options)
    const isThere =
      (await this.#blobs.has(descriptor, options)) || (await this.#copied.look(descriptor, options))
    if (isThere) this.#unproven.set(descriptor.digest, descriptor)
    return isThere
  }

  async put(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    const write = async (): Promise<boolean> => {
      await this.#blobs.put(descriptor, await open(), options)
      return true
    }
    await this.#write(descriptor, write, options)
  }

  async ingest(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    return this.#ingest(content, size, mediaType, options)
  }

  compressLayers(reference: Reference): LayerCompressor {
    const place = {
      ...this.#place,
      publication: this,
      chunks: new ChunkWriter(this.#backend, this.#protection, this.#frames),
      form: (options: CallOptions) =>
        beginLayerForm({ backend: this.#backend, config: this.#config }, reference.name, options),
      ingest: (content: Readable, mediaType: string, options: CallOptions) =>
        this.#ingest(content, undefined, mediaType, options),
    }
    this.#layers = new StoreLayers(place, reference)
    return this.#layers
  }

  /** Server-side copy of a blob of another bucket of the same kind of store; of chunks, from any store. */
  async mount(
    descriptor: Descriptor,
    source: ImageSource,
    options?: CallOptions,
  ): Promise<boolean | MountedChunks> {
    if (!isStore(source)) return false
    const copy = (): Promise<boolean> => this.#blobs.mount(descriptor, source.backend, options)
    if (await this.#write(descriptor, copy, options)) return true
    return this.#copied.take(descriptor, source.backend, options)
  }

  async planMount(
    descriptor: Descriptor,
    source: ImageSource,
    options?: CallOptions,
  ): Promise<MountedChunks | undefined> {
    if (!isStore(source)) return undefined
    return this.#copied.plan(descriptor, source.backend, options)
  }

  /**
   * True when the source is this store and its tag has the very manifest: then all that it names is
   * there, and nothing need be looked for. {@link tag} looks at that tag again.
   */
  async adopt(
    { content, descriptor }: ManifestDocument,
    { source, reference }: { readonly source: ImageSource; readonly reference: Reference },
    digests: readonly string[],
    options?: CallOptions,
  ): Promise<boolean> {
    if (!isStore(source) || reference.digest !== undefined) return false
    const { scheme, bucket } = this.#backend
    // The name alone proves nothing: two endpoints may have a bucket of it. The manifest does.
    if (source.backend.scheme !== scheme || source.backend.bucket !== bucket) return false
    const published = await readTagManifest(this.#backend, reference, options)
    if (!published || Buffer.compare(published.content, content) !== 0) return false
    await this.protect(digests, options)
    const origin = { key: manifestKey(reference), content, name: formatImageName(reference) }
    this.#adopted = { digest: descriptor.digest, origin }
    return true
  }

  /** See {@link attachReferrer}. */
  attach(
    referrer: ManifestDocument,
    place: AttachPlace,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: AttachOptions,
  ): Promise<void> {
    return attachReferrer(this.#place, referrer, place, open, options)
  }

  /** Takes a referrer off its subject. Its blobs are left to the collector. */
  detach(
    { repository, subject }: AttachPlace,
    digest: string,
    options?: CallOptions,
  ): Promise<void> {
    const referrer = { repository, subject: subject.digest, digest }
    return detachReferrer(this.#place, referrer, options)
  }

  /** See {@link relistReferrer}. */
  relist(referrer: ListedReferrer, options?: CallOptions): Promise<void> {
    return relistReferrer(this.#place, referrer, options)
  }

  /**
   * Publishes the tag with one write of its manifest, once everything that went through here is
   * proven to be there under pins and the image has its records, and adds it to the tag's history. A
   * tag that is to be created and has this very manifest already is left as it is. Throws
   * `CONFLICT`, `UNAVAILABLE`.
   */
  async tag(root: ManifestDocument, reference: Reference, options: TagOptions = {}): Promise<void> {
    const { digest } = root.descriptor
    const written = await this.#publish(root, reference, options)
    const released = this.release()
    try {
      if (!written) return
      const at = this.#now?.() ?? written.at ?? new Date()
      await recordWrite(this.#backend, reference, { ...options, digest, at })
    } finally {
      await released
    }
  }

  /** Publishes a manifest under its digest alone, as {@link tag} does under a tag. Throws `UNAVAILABLE`. */
  async record(
    root: ManifestDocument,
    repository: string,
    { signal }: CallOptions = {},
  ): Promise<void> {
    const named = successors(root.manifest).map(({ digest }) => digest)
    await this.protect([root.descriptor.digest, ...named, ...this.#unproven.keys()], { signal })
    await this.#proveAll({ signal })
    await this.#record(root, repository, { origin: undefined, isUnchanged: false, signal })
    await this.release()
  }

  /** See `Publication.lost`. */
  lost(options: CallOptions = {}): Promise<readonly Descriptor[]> {
    return this.#neighbour.lost(this.#releasedAt, options)
  }

  /** Lets collectors have what is not needed. Never throws. */
  async release(): Promise<void> {
    if (!this.#released) this.#releasedAt = this.#time
    this.#released ??= this.#protection.release()
    await this.#released
  }

  get #place(): Displacing {
    return { backend: this.#backend, blobs: this.#blobs, protection: this.#protection }
  }

  /** Not later than the store's time; what is looked for under pins has one. */
  get #time(): number {
    return this.#protection.time ?? 0
  }

  /** True for a blob that is there under a pin, whole or in chunks. */
  async #isProven(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    const isWhole = await this.#protection.has(descriptor, options)
    return isWhole || this.#copied.has(descriptor, options)
  }

  async #ingest(
    content: Readable,
    size: number | undefined,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    const descriptor = await this.#blobs.ingest(content, size, mediaType, options)
    await this.#write(descriptor, () => Promise.resolve(true), options)
    return descriptor
  }

  /** What is not under a pin yet is proven before the tag. */
  async #write(
    descriptor: Descriptor,
    write: () => Promise<boolean>,
    options?: CallOptions,
  ): Promise<boolean> {
    const isCovered = this.#protection.covers(descriptor.digest)
    const isWritten = await (isCovered ? this.#protection.put(descriptor, write, options) : write())
    if (!isWritten) return false
    if (isCovered) this.#neighbour.note(descriptor, this.#time)
    else this.#unproven.set(descriptor.digest, descriptor)
    return true
  }

  async #publish(
    root: ManifestDocument,
    reference: Reference,
    options: TagOptions,
  ): Promise<PublishedTag | undefined> {
    const { createOnly = false, signal } = options
    const { descriptor, manifest } = root
    const present = createOnly ? undefined : await this.#present(reference, { signal })
    const displaced = present?.document?.descriptor.digest
    const named = successors(manifest).map(({ digest }) => digest)
    const digests = [descriptor.digest, ...named, ...this.#unproven.keys()]
    await this.protect(displaced === undefined ? digests : [...digests, displaced], { signal })
    await this.#proveAll({ signal })
    const origin = this.#adopted?.digest === descriptor.digest ? this.#adopted.origin : undefined
    const isUnchanged = displaced === descriptor.digest
    const { gaps } = this.#protection
    const again = (): Promise<void> =>
      this.#record(root, reference.name, { ...options, origin, isUnchanged })
    await again()
    const records = { gaps, again }
    return publishTag(this.#place, root, reference, { ...options, origin, present, records })
  }

  /** What the tag names, or named a while ago where the store holds the move against that. */
  async #present(reference: Reference, options: CallOptions): Promise<PresentTag | undefined> {
    const { createOnly, compareAndSwap } = await provenGuarantees(this.#backend, options)
    const seen = createOnly && compareAndSwap ? this.#seen?.get(reference) : undefined
    return seen ? seen.present : readPresentTag(this.#backend, reference, options)
  }

  /** Lets every manifest of the image be found by its digest, also once the tag has moved. */
  async #record(
    root: ManifestDocument,
    repository: string,
    { children, origin, isUnchanged, signal }: RecordImageOptions,
  ): Promise<void> {
    const place = recordPlace(repository)
    // It was written after those of its children, and they live as long as it does.
    if (isUnchanged && (await this.#protection.has(root.descriptor, { signal }, place))) return
    const below = children ?? (await readClosure(this.#blobs, root, { signal })).children
    await forEachConcurrent(
      below,
      RECORDS_AT_ONCE,
      async (child, taskSignal) => {
        await writeRecord(this.#protection, repository, child, { origin, signal: taskSignal })
      },
      signal,
    )
    await writeRecord(this.#protection, repository, root, { origin, signal })
    await writeReferrerEntry(this.#protection, repository, root, { signal })
  }

  async #proveAll(options: CallOptions): Promise<void> {
    await forEachConcurrent(
      [...this.#unproven.values()],
      LOOKUPS_AT_ONCE,
      async (descriptor, signal) => {
        if (!(await this.#isProven(descriptor, { signal }))) throw collected(descriptor)
      },
      options.signal,
    )
    this.#unproven.clear()
  }
}

const noConfig = (): Promise<BucketConfig> => Promise.resolve({ default: {}, images: {} })

function collected({ digest }: Descriptor): S3loError {
  return new S3loError('UNAVAILABLE', `${digest} was collected before it was published`, {
    hint: 'run it again: what is still there is not sent again',
  })
}
