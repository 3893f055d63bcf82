import type { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { AttachOptions } from '../contract/image-target.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { republish } from '../gc/republish.ts'
import { type Look, Protection, type ProtectionOptions, type Publication } from '../gc/writer.ts'
import { referrerKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { BlobStore } from './blobs.ts'
import { GoNeighbour } from './go-neighbour.ts'
import { readTagManifest } from './manifests.ts'

const LOOKUPS_AT_ONCE = 16

/** A tag of the same store whose content is about to get another name. */
interface Adopted {
  readonly reference: Reference
  readonly root: ManifestDocument
}

/**
 * The writing side of one publication: what goes into a store beside the reach of collectors. What
 * is known beforehand is pinned at once, before any look at it; what a stream brings is written
 * first, and pinned and looked for as a whole before the tag.
 */
export class StoreWriter {
  readonly #backend: StorageBackend
  readonly #blobs: BlobStore
  readonly #protection: Protection
  /** Content that was seen or written without a pin, which proves nothing yet. */
  readonly #unproven = new Map<string, Descriptor>()
  readonly #neighbour: GoNeighbour
  #adopted: Adopted | undefined
  /** Of the publication, by the store's clock. */
  #publishedAt = 0

  constructor(backend: StorageBackend, blobs: BlobStore, options?: ProtectionOptions) {
    this.#backend = backend
    this.#blobs = blobs
    this.#neighbour = new GoNeighbour(backend)
    const has: Look = async (descriptor, call, place) => {
      if (place === 'referrer-blobs') return blobs.hasReferrerBlob(descriptor, call)
      const info = await blobs.look(descriptor, call)
      return info !== undefined && this.#neighbour.keep(descriptor, info, this.#time, call)
    }
    this.#protection = new Protection(backend, has, options)
  }

  /** Pins digests: three requests in all, if they come in one call. */
  protect(digests: readonly string[], options?: CallOptions): Promise<void> {
    return this.#protection.pin(digests, options)
  }

  async has(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    if (this.#protection.covers(descriptor.digest)) {
      return this.#protection.find(descriptor, options)
    }
    const isThere = await this.#blobs.has(descriptor, options)
    if (isThere) this.#unproven.set(descriptor.digest, descriptor)
    return isThere
  }

  /** Has `write` store the content, which it may do in any way. */
  async store(
    descriptor: Descriptor,
    write: () => Promise<void>,
    options?: CallOptions,
  ): Promise<void> {
    if (this.#protection.covers(descriptor.digest)) {
      await this.#protection.store(descriptor, write, options)
      this.#neighbour.note(descriptor, this.#time)
      return
    }
    await write()
    this.#unproven.set(descriptor.digest, descriptor)
  }

  /**
   * True when the store has the very manifest under `reference`: then all that it names is there,
   * and nothing need be looked for. {@link publish} looks at that tag again.
   */
  async adopt(
    root: ManifestDocument,
    reference: Reference,
    digests: readonly string[],
    options?: CallOptions,
  ): Promise<boolean> {
    const published = await readTagManifest(this.#backend, reference, options)
    if (!published || Buffer.compare(published.content, root.content) !== 0) return false
    await this.protect(digests, options)
    this.#adopted = { reference, root }
    return true
  }

  /** Stores a referrer, its blobs or parts first. Throws `INTEGRITY` unless the manifest names `subject`. */
  async attach(
    referrer: ManifestDocument,
    subject: Descriptor,
    open: (blob: Descriptor) => Promise<Readable>,
    { parts, signal }: AttachOptions = {},
  ): Promise<void> {
    const { content, descriptor } = referrer
    const { digest } = descriptor
    const { mediaType, blobs } = readReferrer(referrer, subject, parts)
    const digests = [subject.digest, digest, ...blobs.map((blob) => blob.digest)]
    await this.protect(digests, { signal })
    const place = 'referrer-blobs'
    for (const blob of blobs) {
      if (await this.#protection.find(blob, { signal }, place)) continue
      const write = async (): Promise<void> =>
        this.#blobs.putReferrerBlob(blob, await open(blob), { signal })
      await this.#protection.store(blob, write, { signal }, place)
    }
    const key = referrerKey(subject.digest, digest)
    await this.#protection.publish({
      digests,
      put: async (options) => {
        await this.#backend.put(key, content, { ...options, signal, mediaType })
      },
      hasLanded: async () => (await this.#backend.head(key, { signal })) !== undefined,
      signal,
    })
  }

  /** Publishes a tag, once everything that went through here is proven to be there under pins. */
  async publish(
    root: ManifestDocument,
    reference: Reference,
    put: Publication['put'],
    options: CallOptions = {},
  ): Promise<void> {
    const { digest } = root.descriptor
    const named = successors(root.manifest).map((child) => child.digest)
    const digests = [digest, ...named, ...this.#unproven.keys()]
    await this.#proveAll(digests, options)
    const publication: Publication = {
      ...options,
      digests,
      put,
      hasLanded: () => this.#isPublished(root, reference, options),
    }
    const adopted = this.#adopted
    if (adopted?.root.descriptor.digest !== digest) return this.#protection.publish(publication)
    const readSource = async (): Promise<Uint8Array | undefined> =>
      (await readTagManifest(this.#backend, adopted.reference, options))?.content
    const name = formatImageName(adopted.reference)
    return republish(this.#protection, { ...publication, name, content: root.content, readSource })
  }

  /** See `ImageTarget.lost`. */
  lost(options: CallOptions = {}): Promise<readonly Descriptor[]> {
    return this.#neighbour.lost(this.#publishedAt, options)
  }

  /** Not later than the store's time; what is looked for under pins has one. */
  get #time(): number {
    return this.#protection.time ?? 0
  }

  /** Lets collectors have what is not needed; to be called once. Never throws. */
  async release(): Promise<void> {
    this.#publishedAt = this.#time
    await this.#protection.release()
  }

  async #proveAll(digests: readonly string[], options: CallOptions): Promise<void> {
    if (this.#unproven.size === 0) return
    await this.protect(digests, options)
    await forEachConcurrent(
      [...this.#unproven.values()],
      LOOKUPS_AT_ONCE,
      async (descriptor, signal) => {
        if (!(await this.#protection.find(descriptor, { signal }))) throw collected(descriptor)
      },
      options.signal,
    )
    this.#unproven.clear()
  }

  async #isPublished(
    { descriptor }: ManifestDocument,
    reference: Reference,
    options: CallOptions,
  ): Promise<boolean> {
    const published = await readTagManifest(this.#backend, reference, options)
    return published?.descriptor.digest === descriptor.digest
  }
}

function collected({ digest }: Descriptor): S3loError {
  return new S3loError('UNAVAILABLE', `${digest} was collected before it was published`, {
    hint: 'run it again: what is still there is not sent again',
  })
}

function readReferrer(
  { descriptor: { digest }, manifest }: ManifestDocument,
  subject: Descriptor,
  parts: AttachOptions['parts'],
): { readonly mediaType: string; readonly blobs: readonly Descriptor[] } {
  if (manifest.subject?.digest !== subject.digest) {
    throw new S3loError('INTEGRITY', `manifest ${digest} does not refer to ${subject.digest}`)
  }
  if (manifest.kind === 'index' && !parts) {
    throw new S3loError('UNSUPPORTED', `referrer ${digest} is an index of unknown content`)
  }
  return { mediaType: manifest.mediaType, blobs: parts ?? successors(manifest) }
}
