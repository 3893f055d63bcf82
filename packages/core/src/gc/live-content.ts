import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { blobKey, referrerBlobKey } from '../layout/keys.ts'
import type { TagName } from '../layout/parse-key.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf, parseDigest } from '../oci/digest.ts'
import {
  assertDepth,
  type Manifest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  successors,
} from '../oci/document.ts'
import { isManifestMediaType, MEDIA_TYPE } from '../oci/media-type.ts'
import { BlobReport } from '../progress/blob-report.ts'
import { isImageFault, orImageFault } from '../store/image-fault.ts'
import { readObject, readVersion } from '../store/read-object.ts'
import { readTagEntries } from '../store/tags.ts'
import { type Collectable, listReferrers } from './collectable.ts'
import { DigestSet } from './digest-set.ts'
import { nameOf } from './name-set.ts'
import { assertEnough, type Census } from './tag-census.ts'

/** A manifest that cannot be read, so that its needs are unknown. */
export interface UnreadableManifest {
  /** `image:tag`, or the key of a referrer. */
  readonly name: string
  readonly error: S3loError
}

export interface LiveContentOptions {
  /** Tags (`image:tag`) that may be unreadable: what only they need is garbage. */
  readonly ignore?: ReadonlySet<string> | undefined
  /** Tags that are taken as deleted, for a dry run. */
  readonly without?: ((tag: TagName) => boolean) | undefined
  /** What was seen before: a scan that lists far fewer tags throws `INTEGRITY`. */
  readonly census?: Census | undefined
}

/** How a scan is made. */
export interface ScanOptions extends CallOptions, ProgressOptions {
  /** True for a name that a writer may be publishing. */
  readonly isPinned?: ((name: string) => boolean) | undefined
  /** Gets each file beside the manifests of tags, which the scan lists and does not read. */
  readonly onFile?: ((info: ObjectInfo) => void) | undefined
}

const READS_AT_ONCE = 20

/**
 * Every name that a published manifest needs. {@link scan} may be called again: what was read once
 * under the same etag is not read again, and names are only ever added.
 */
export class LiveContent {
  readonly #backend: StorageBackend
  readonly #options: LiveContentOptions
  /** Configs, layers, child manifests and blobs of referrers. */
  readonly #names = new DigestSet()
  /** Manifests that can be the subject of a referrer. */
  readonly #manifests = new DigestSet()
  /** Objects that were read whole: hashes of key and etag. */
  readonly #read = new DigestSet()
  #unreadable: UnreadableManifest[] = []
  #tags = 0

  constructor(backend: StorageBackend, options: LiveContentOptions = {}) {
    this.#backend = backend
    this.#options = options
  }

  /** What the last scan could not read. While there is any, nothing may be deleted. */
  get unreadable(): readonly UnreadableManifest[] {
    return this.#unreadable
  }

  /** How many tags the last scan listed, those that were left out included. */
  get tags(): number {
    return this.#tags
  }

  /** True when a published manifest needs the name, or a referrer's subject is published. */
  has({ name, subject, isRecord }: Pick<Collectable, 'name' | 'subject' | 'isRecord'>): boolean {
    if (subject !== undefined) return this.#manifests.has(subject)
    // A record may be about a referrer, which is no image's blob.
    return this.#names.has(name) || (isRecord === true && this.#manifests.has(name))
  }

  /**
   * Lists every manifest of the store and reads those that are new or have changed. Referrers of
   * what `isPinned` selects count as well: a writer that publishes it brings them to life unseen.
   */
  async scan({
    isPinned = () => false,
    onProgress,
    onFile,
    ...options
  }: ScanOptions = {}): Promise<void> {
    this.#unreadable = []
    this.#tags = 0
    if (onProgress) await this.#plan({ ...options, onProgress })
    await forEachConcurrent(
      readTagEntries(this.#backend, '', { ...options, onFile }),
      READS_AT_ONCE,
      async ({ image, tag, info, layout }, signal) => {
        const name = `${image}:${tag}`
        this.#tags++
        const isLeftOut = this.#options.without?.({ image, tag }) ?? false
        let digest = ''
        const add = (content: Uint8Array): Promise<void> => {
          digest = digestOf(content)
          return layout === '1.0.0'
            ? this.#addLegacyRoot(content, name)
            : this.#addRoot(content, name, signal)
        }
        if (!isLeftOut) await this.#readOnce(name, info, add, signal)
        reportManifest(
          { digest, size: info.size, mediaType: MEDIA_TYPE.octetStream },
          { onProgress },
        )
      },
      options.signal,
    )
    assertEnough(this.#backend, this.#tags, this.#options.census)
    await this.#scanReferrers({ isPinned, ...options })
  }

  /** Counted by a listing of its own: to keep what one lists would take memory for each tag. */
  async #plan({ onProgress, ...options }: CallOptions & ProgressOptions): Promise<void> {
    let blobs = 0
    let bytes = 0
    for await (const { info } of readTagEntries(this.#backend, '', options)) {
      blobs++
      bytes += info.size
    }
    onProgress?.({ type: 'plan', blobs, bytes })
  }

  /** Referrers of referrers come in any order: until a pass over them finds no new one. */
  async #scanReferrers({ isPinned, ...options }: ScanOptions): Promise<void> {
    for (let before = -1; before !== this.#manifests.size;) {
      before = this.#manifests.size
      await forEachConcurrent(
        listReferrers(this.#backend, options),
        READS_AT_ONCE,
        async ({ info, digest, subject }, signal) => {
          if (!this.#manifests.has(subject) && !isPinned?.(subject)) return
          const add = (content: Uint8Array): Promise<void> => {
            verify(content, digest)
            return this.#addManifest(parseManifest(content, digest), 1, signal)
          }
          await this.#readOnce(info.key, info, add, signal)
          this.#manifests.add(nameOf(digest))
        },
        options.signal,
      )
    }
  }

  async #readOnce(
    name: string,
    listed: ObjectInfo,
    add: (content: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    for (let info: ObjectInfo | undefined = listed; info && !this.#read.has(versionOf(info));) {
      try {
        const read = await readVersion(this.#backend, info.key, MAX_MANIFEST_BYTES, { signal })
        // Deleted since it was listed: it needs nothing any more.
        if (!read) return
        await add(read.content)
        // Of what was read: the listed one may have been overwritten since, and may come back.
        this.#read.add(versionOf(read.info))
        return
      } catch (error) {
        if (!isImageFault(error)) throw error
        // A tag that was deleted or moved meanwhile may miss what another collector has deleted.
        const now: ObjectInfo | undefined = await this.#backend.head(info.key, { signal })
        if (now?.etag === info.etag) {
          if (!this.#options.ignore?.has(name)) this.#unreadable.push({ name, error })
          return
        }
        info = now
      }
    }
  }

  async #addRoot(content: Uint8Array, name: string, signal: AbortSignal): Promise<void> {
    await this.#addManifest(parseManifest(content, name), 1, signal)
    this.#manifests.add(nameOf(digestOf(content)))
  }

  /** What it needs is in its own folder, which no collector touches: only referrers live by it. */
  async #addLegacyRoot(content: Uint8Array, name: string): Promise<void> {
    this.#manifests.add(nameOf(digestOf(content)))
    const manifest = await orImageFault(() => Promise.resolve(parseManifest(content, name)))
    if (manifest instanceof S3loError) return
    for (const { digest, mediaType } of successors(manifest)) {
      this.#names.add(nameOf(digest))
      if (isManifestMediaType(mediaType)) this.#manifests.add(nameOf(digest))
    }
  }

  async #addManifest(manifest: Manifest, depth: number, signal: AbortSignal): Promise<void> {
    assertDepth(depth)
    for (const descriptor of successors(manifest)) this.#names.add(nameOf(descriptor.digest))
    if (manifest.kind !== 'index') return
    for (const entry of manifest.manifests) await this.#addChild(entry, depth + 1, signal)
  }

  async #addChild(entry: Descriptor, depth: number, signal: AbortSignal): Promise<void> {
    const { digest, mediaType } = entry
    const name = nameOf(digest)
    if (this.#manifests.has(name)) return
    const isManifest = isManifestMediaType(mediaType)
    if (!isManifest && entry.size > MAX_MANIFEST_BYTES) return
    const child = await this.#readChild(digest, isManifest, signal)
    if (!child) return
    await this.#addManifest(child, depth, signal)
    this.#manifests.add(name)
  }

  /** Anything else that an index names is taken as a manifest when it can be, else as a leaf. */
  async #readChild(
    digest: string,
    isManifest: boolean,
    signal: AbortSignal,
  ): Promise<Manifest | undefined> {
    try {
      const content = await this.#readBlob(digest, signal)
      if (!content) throw new S3loError('NOT_FOUND', `manifest ${digest} is missing`)
      verify(content, digest)
      return parseManifest(content, digest)
    } catch (error) {
      if (!isManifest && isImageFault(error)) return undefined
      throw error
    }
  }

  /** A child of a tag's index, or of an index that refers to something. */
  async #readBlob(digest: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    for (const key of [blobKey(digest), referrerBlobKey(digest)]) {
      const content = await readObject(this.#backend, key, MAX_MANIFEST_BYTES, { signal })
      if (content) return content
    }
    return undefined
  }
}

/** Without a digest it was not read: it is gone, or was to be left out. */
function reportManifest(descriptor: Descriptor, options: ProgressOptions): void {
  const report = new BlobReport({ descriptor, platform: 'single' }, options)
  if (descriptor.digest === '') return report.end('skip')
  report.start()
  report.reach(descriptor.size)
  report.end('done')
}

function versionOf({ key, etag }: ObjectInfo): string {
  return nameOf(digestOf(new TextEncoder().encode(`${key}\0${etag}`)))
}

function verify(content: Uint8Array, digest: string): void {
  const actual = digestOf(content, parseDigest(digest).algorithm)
  if (actual !== digest) throw new S3loError('INTEGRITY', `expected ${digest}, got ${actual}`)
}
