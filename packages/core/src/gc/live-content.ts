import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import type { S3loError } from '../errors.ts'
import type { TagName } from '../layout/parse-key.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf } from '../oci/digest.ts'
import { MAX_MANIFEST_BYTES } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { BlobReport } from '../progress/blob-report.ts'
import { isImageFault } from '../store/image-fault.ts'
import { readVersion } from '../store/read-object.ts'
import { listRecords, type RecordEntry } from '../store/records.ts'
import { readTagEntries } from '../store/tags.ts'
import type { Collectable } from './collectable.ts'
import { DigestSet } from './digest-set.ts'
import { LiveGraph } from './live-graph.ts'
import { type ExpiredRecord, type ExpiryCheck, LiveRecords } from './live-records.ts'
import { nameOf, versionOf } from './name-set.ts'
import { assertEnough, type Census } from './tag-census.ts'

/** A manifest or recipe that cannot be read, so that its needs are unknown. */
export interface UnreadableManifest {
  /** `image:tag`, `repository@digest`, or the key of a referrer or recipe. */
  readonly name: string
  readonly error: S3loError
}

/** The manifests of all tags, as a listing shows them. */
export interface ListedManifests {
  readonly blobs: number
  readonly bytes: number
}

export interface LiveContentOptions {
  /** What a listing that was just made shows; default: one is made where progress is reported. */
  readonly listed?: ListedManifests | undefined
  /** Tags (`image:tag`) that may be unreadable: what only they need is garbage. */
  readonly ignore?: ReadonlySet<string> | undefined
  /** Tags that are taken as deleted, for a dry run. */
  readonly without?: ((tag: TagName) => boolean) | undefined
  /** What was seen before: a scan that lists far fewer tags throws `INTEGRITY`. */
  readonly census?: Census | undefined
}

/** What needs a blob: a tag, or what is below one, digest records alone, or nothing. */
export type LayerState = 'tagged' | 'untagged' | 'garbage'

/** How a scan is made. */
export interface ScanOptions extends CallOptions, ProgressOptions {
  /** True for a name that a writer may be publishing. */
  readonly isPinned?: ((name: string) => boolean) | undefined
  /** Finds the records that have expired; otherwise every record is a root. */
  readonly expiry?: Omit<ExpiryCheck, 'isPinned'> | undefined
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
  readonly #graph: LiveGraph
  readonly #records: LiveRecords
  /** Objects that were read whole: hashes of key and etag. */
  readonly #read = new DigestSet()
  #unreadable: UnreadableManifest[] = []
  #tags = 0

  constructor(backend: StorageBackend, options: LiveContentOptions = {}) {
    this.#backend = backend
    this.#options = options
    this.#graph = new LiveGraph(backend)
    this.#records = new LiveRecords(backend, this.#graph, (...read) => this.#readOnce(...read))
  }

  /** What the last scan could not read. While there is any, nothing may be deleted. */
  get unreadable(): readonly UnreadableManifest[] {
    return this.#unreadable
  }

  /** How many tags the last scan listed, those that were left out included. */
  get tags(): number {
    return this.#tags
  }

  /** Records that the last scan with `expiry` found to have expired, by key. */
  get expired(): ReadonlyMap<string, ExpiredRecord> {
    return this.#records.expired
  }

  /** True when a live manifest needs the name. */
  has({ name, isRecord }: Pick<Collectable, 'name' | 'isRecord'>): boolean {
    // A record may be about a referrer, which is no image's blob.
    return isRecord === true ? this.hasManifest(name) : this.#graph.needs(name)
  }

  /** True for a manifest that is live, of any kind. */
  hasManifest(name: string): boolean {
    return this.#graph.needs(name) || this.#graph.hasManifest(name)
  }

  /** What needs a layer or other blob. */
  stateOf(name: string): LayerState {
    if (!this.#graph.needs(name)) return 'garbage'
    return this.#graph.isHeld(name) ? 'untagged' : 'tagged'
  }

  /** Every record of an image that no tag and no index reaches, as far as the last scan saw. */
  async *untagged(options: CallOptions): AsyncGenerator<RecordEntry, void> {
    if (this.#records.unreached === 0) return
    for await (const record of listRecords(this.#backend, undefined, options)) {
      const name = nameOf(record.digest)
      if (this.#graph.isReachedIn(record.repository, name)) continue
      if (!this.#graph.isReferrer(name)) yield record
    }
  }

  /**
   * Lists every tag, then every record, and reads those that are new or have changed. A record of what
   * `isPinned` selects, or of what refers to it, does not expire.
   */
  async scan({
    isPinned = () => false,
    expiry,
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
            ? this.#graph.addLegacyTag(image, content, name)
            : this.#graph.addTag(image, content, name, signal)
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
    await this.#records.scan(expiry && { ...expiry, isPinned }, options)
  }

  /** Where nothing has counted them, by a listing of its own: to keep one would take memory for each tag. */
  async #plan({ onProgress, ...options }: CallOptions & ProgressOptions): Promise<void> {
    const { listed = await this.#measure(options) } = this.#options
    onProgress?.({ type: 'plan', ...listed })
  }

  async #measure(options: CallOptions): Promise<ListedManifests> {
    let blobs = 0
    let bytes = 0
    for await (const { info } of readTagEntries(this.#backend, '', options)) {
      blobs++
      bytes += info.size
    }
    return { blobs, bytes }
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
}

/** Without a digest it was not read: it is gone, or was to be left out. */
function reportManifest(descriptor: Descriptor, options: ProgressOptions): void {
  const report = new BlobReport({ descriptor, platform: 'single' }, options)
  if (descriptor.digest === '') return report.end('skip')
  report.start()
  report.reach(descriptor.size)
  report.end('done')
}
