import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { MAX_MANIFEST_BYTES, parseManifest } from '../oci/document.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readObject } from '../store/read-object.ts'
import { listRecords, type RecordEntry } from '../store/records.ts'
import { DigestSet } from './digest-set.ts'
import { assertDigest, type LiveGraph, namesOf, within } from './live-graph.ts'
import { nameOf } from './name-set.ts'
import type { RecordExpiry } from './record-expiry.ts'
import { mayExpire } from './steps.ts'

/** What a record says of itself. */
interface Facts {
  /** Of the manifest, under either algorithm. */
  readonly names: readonly string[]
  /** The digest of what it refers to. */
  readonly subject?: string
}

/** A record that nothing keeps any more. */
export interface ExpiredRecord extends RecordEntry, Facts {}

/** What decides whether a record is a root. */
export interface ExpiryCheck {
  /** By the store's clock, milliseconds since 1970. */
  readonly now: number
  readonly expiry: RecordExpiry
  readonly isPinned: (name: string) => boolean
}

/** How a record that is a root is read: once for each version. Gives nothing for one that is known. */
export type ReadRoot = (
  label: string,
  info: ObjectInfo,
  add: (content: Uint8Array) => Promise<void>,
  signal: AbortSignal,
) => Promise<void>

const READS_AT_ONCE = 20

/** Expired records of one scan: those beyond stay until the next one, so that memory is bounded. */
const MAX_EXPIRED = 50_000

/** The digest records of a store, as roots of what is live. */
export class LiveRecords {
  readonly #backend: StorageBackend
  readonly #graph: LiveGraph
  readonly #readOnce: ReadRoot
  /** Records that are roots, by repository. */
  readonly #roots = new DigestSet()
  /** What those say that have expired, by key: it is in the digest, and so never changes. */
  readonly #judged = new Map<string, Facts>()
  #expired = new Map<string, ExpiredRecord>()
  #unreached = 0

  constructor(backend: StorageBackend, graph: LiveGraph, readOnce: ReadRoot) {
    this.#backend = backend
    this.#graph = graph
    this.#readOnce = readOnce
  }

  /** How many the last scan listed that no tag and no index had reached by then. */
  get unreached(): number {
    return this.#unreached
  }

  /** What the last scan found to have expired, by key. */
  get expired(): ReadonlyMap<string, ExpiredRecord> {
    return this.#expired
  }

  /**
   * Lists every record and adds what it needs. With a check, those that may expire are left out; they
   * come in any order, so there are passes until one finds nothing new.
   */
  async scan(check: ExpiryCheck | undefined, options: CallOptions): Promise<void> {
    for (let before = -1; before !== this.#size;) {
      before = this.#size
      this.#expired = new Map()
      this.#unreached = 0
      await forEachConcurrent(
        listRecords(this.#backend, undefined, options),
        READS_AT_ONCE,
        async (record, signal) => {
          const { repository, digest } = record
          if (!this.#graph.isReachedIn(repository, nameOf(digest))) this.#unreached++
          const judged = check && (await this.#judge(record, check, signal))
          if (judged !== 'expired') await this.#addRoot(record, judged, signal)
        },
        options.signal,
      )
      if (this.#expired.size === 0) return
    }
  }

  get #size(): number {
    return this.#graph.size + this.#roots.size
  }

  /** `content` is what was read of it already. */
  async #addRoot(
    { repository, digest, info }: RecordEntry,
    content: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const name = nameOf(digest)
    this.#roots.add(within(repository, name))
    // Such as refer to a live image may be millions.
    this.#judged.delete(info.key)
    if (this.#graph.isKnownIn(repository, name)) return
    const add = (read: Uint8Array): Promise<void> => {
      assertDigest(read, digest)
      return this.#graph.addRecord(repository, read, digest, signal)
    }
    // What is wrong with it is told below, where it is read as a root.
    if (content && !((await orImageFault(() => add(content))) instanceof S3loError)) return
    await this.#readOnce(`${repository}@${digest}`, info, add, signal)
  }

  /** Whether a record has expired; of one that has not, what had to be read to tell. */
  async #judge(
    record: RecordEntry,
    { now, expiry, isPinned }: ExpiryCheck,
    signal: AbortSignal,
  ): Promise<'expired' | Uint8Array | undefined> {
    const { repository, digest, info } = record
    const expiresAt = expiry.expiresAt(record)
    // What was a root once stays one: names are only ever added.
    const isKept = now <= expiresAt || this.#isLiveIn(repository, nameOf(digest))
    if (isKept || this.#expired.size >= MAX_EXPIRED) return undefined
    const known = this.#judged.get(info.key)
    const read = known ? undefined : await this.#read(record, signal)
    const facts = known ?? read?.facts
    if (!facts) return undefined
    const { names, subject } = facts
    const isLive = (name: string): boolean => this.#isLiveIn(repository, name) || isPinned(name)
    const verdict = {
      isPinned: names.some(isPinned),
      isReached: names.some((name) => this.#graph.isReachedIn(repository, name)),
      hasLiveSubject: subject !== undefined && isLive(nameOf(subject)),
      expiresAt,
    }
    if (!mayExpire(verdict, now)) return read?.content
    this.#judged.set(info.key, facts)
    this.#expired.set(info.key, { ...record, ...facts })
    return 'expired'
  }

  #isLiveIn(repository: string, name: string): boolean {
    return this.#graph.isReachedIn(repository, name) || this.#roots.has(within(repository, name))
  }

  /** `undefined` for a record that cannot be read: as a root, it is told. */
  async #read(
    { digest, info }: RecordEntry,
    signal: AbortSignal,
  ): Promise<{ readonly content: Uint8Array; readonly facts: Facts } | undefined> {
    const read = await orImageFault(async () => {
      const content = await readObject(this.#backend, info.key, MAX_MANIFEST_BYTES, { signal })
      if (!content) return undefined
      assertDigest(content, digest)
      const { subject } = parseManifest(content, digest)
      const facts = { names: namesOf(content), ...(subject && { subject: subject.digest }) }
      return { content, facts }
    })
    return read instanceof S3loError ? undefined : read
  }
}
