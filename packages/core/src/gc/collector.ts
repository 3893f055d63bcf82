import type { DeleteFailure, ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { BlobReport, type ReportedBlob, reportPlan } from '../progress/blob-report.ts'
import { type Collectable, listCollectable } from './collectable.ts'
import { CondemnedNames } from './condemned.ts'
import { type HousekeepingResult, keepHouse } from './housekeeping.ts'
import { findLegacyFolder, isLegacySidecar } from './legacy-trace.ts'
import { LiveContent, type UnreadableManifest } from './live-content.ts'
import { Others } from './others.ts'
import { lifeOf, type ParticipantOptions } from './participant.ts'
import { collectRecords, type RecordResult, type UntaggedImage } from './record-collector.ts'
import { type ExpiryOptions, RecordExpiry } from './record-expiry.ts'
import { type RoundContext, runRound } from './round.ts'
import type { Census } from './tag-census.ts'
import { peekTime, readTime } from './store-clock.ts'

/** Why an object was deleted, or why garbage stays for now. */
type Outcome =
  | { readonly kind: 'deleted' | 'would-delete' }
  /** Younger than the grace period: it may belong to a push that writes no pin. */
  | { readonly kind: 'recent' }
  /** Garbage for less than the grace period. */
  | { readonly kind: 'condemned' }
  /** A push or copy that is running has named it. */
  | { readonly kind: 'pinned' }
  | { readonly kind: 'failed'; readonly failure: DeleteFailure }

/** An object that no published manifest needs, and what was done about it. */
export interface CollectedObject {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly outcome: Outcome
}

export interface CollectOptions extends ParticipantOptions, ExpiryOptions {
  /** Deletes; otherwise nothing is written and the result says what would be. */
  readonly confirm?: boolean | undefined
  /** Milliseconds (default 1 h) for writers without pins, from the later of object age and condemnation. */
  readonly graceMs?: number | undefined
  /** Tags (`image:tag`) that may be unreadable: what only they need is deleted. */
  readonly ignore?: Iterable<string> | undefined
  /** What was seen before: a listing with far fewer tags ends the collection with `INTEGRITY`. */
  readonly census?: Census | undefined
  /** Called for every object that no manifest needs, one by one: they may be a million. */
  readonly onObject?: ((object: CollectedObject) => void) | undefined
  /** Called for every untagged image, one by one. */
  readonly onUntagged?: ((image: UntaggedImage) => void) | undefined
  /** The time that ages in a dry run are judged by; default: the store's, where it tells without a write. */
  readonly now?: (() => number) | undefined
}

/** What a collection did, or would do. */
export interface CollectResult extends HousekeepingResult, RecordResult {
  readonly dryRun: boolean
  /** Tags that the last look listed. */
  readonly tags: number
  /** Objects of content. */
  readonly scanned: number
  readonly deleted: number
  /** Bytes. */
  readonly freedBytes: number
  readonly recent: number
  readonly condemned: number
  readonly pinned: number
  readonly failed: number
  /** Bytes of the blobs that only untagged images need. */
  readonly heldBytes: number
  /** Manifests that cannot be read: while there is one, nothing was deleted. */
  readonly unreadable: readonly UnreadableManifest[]
  /** An object that only a program without pins writes: what it re-uses without touching is not safe. */
  readonly legacyTrace?: ObjectInfo
}

export const DEFAULT_GRACE_MS = 3_600_000

/** Objects of one round: a writer that uses one of them waits for the round to end. */
const ROUND_SIZE = 4000

/**
 * Deletes content that no published manifest needs, while pushes and other collections run. Nothing
 * that was published or is about to be is ever deleted (docs/garbage-collection.md). Memory is
 * 32 to 64 bytes for each name that is live and, with a grace period, for each that is garbage.
 */
export async function collectGarbage(
  backend: StorageBackend,
  options: CollectOptions = {},
): Promise<CollectResult> {
  const { confirm = false, signal, onProgress } = options
  const call = { signal, onProgress }
  const now = confirm
    ? await readTime(backend, call)
    : (options.now?.() ?? (await peekTime(backend, call)))
  return new Collector(backend, options, now).run()
}

class Collector {
  readonly #backend: StorageBackend
  readonly #options: CollectOptions
  readonly #now: number
  readonly #graceMs: number
  readonly #isDryRun: boolean
  readonly #others: Others
  readonly #live: LiveContent
  readonly #condemned: CondemnedNames
  readonly #expiry: RecordExpiry
  readonly #counts = {
    scanned: 0,
    deleted: 0,
    freedBytes: 0,
    rounds: 0,
    recordsDeleted: 0,
    untagged: 0,
    heldBytes: 0,
  }
  readonly #kept = { recent: 0, condemned: 0, pinned: 0, failed: 0 }

  constructor(backend: StorageBackend, options: CollectOptions, now: number) {
    this.#backend = backend
    this.#options = options
    this.#now = now
    this.#graceMs = options.graceMs ?? DEFAULT_GRACE_MS
    this.#isDryRun = !(options.confirm ?? false)
    this.#others = new Others(backend, options)
    this.#expiry = new RecordExpiry(options)
    this.#live = new LiveContent(backend, {
      ignore: new Set(options.ignore),
      census: options.census,
    })
    this.#condemned = new CondemnedNames(backend, {
      now,
      graceMs: this.#graceMs,
      isDryRun: this.#isDryRun,
    })
  }

  async run(): Promise<CollectResult> {
    const { signal, onProgress } = this.#options
    const isDryRun = this.#isDryRun
    const others = this.#others
    const house = await keepHouse(this.#backend, { now: this.#now, others, isDryRun, signal })
    let legacyTrace = await findLegacyFolder(this.#backend, { signal })
    const onFile = (info: ObjectInfo): void => {
      if (isLegacySidecar(info.key)) legacyTrace ??= info
    }
    const expiry = { now: this.#now, expiry: this.#expiry }
    await this.#live.scan({ signal, onProgress, onFile, expiry })
    if (this.#isReadable) await this.#expire()
    if (this.#isReadable) await this.#collect()
    return {
      dryRun: isDryRun,
      tags: this.#live.tags,
      ...this.#counts,
      ...this.#kept,
      ...house,
      unreadable: this.#live.unreadable,
      ...(legacyTrace ? { legacyTrace } : {}),
    }
  }

  get #isReadable(): boolean {
    return this.#live.unreadable.length === 0
  }

  async #expire(): Promise<void> {
    const { recordsDeleted, untagged, rounds } = await collectRecords({
      ...(await this.#roundContext()),
      expiry: this.#expiry,
      isDryRun: this.#isDryRun,
      onUntagged: this.#options.onUntagged,
      onFailure: (failure) => this.#fail({ key: failure.key, size: 0 }, failure),
    })
    Object.assign(this.#counts, { recordsDeleted, untagged, rounds })
  }

  async #collect(): Promise<void> {
    const { signal } = this.#options
    await this.#condemned.load((name) => this.#live.has({ name }), { signal })
    let batch: Collectable[] = []
    for await (const item of listCollectable(this.#backend, { signal })) {
      this.#counts.scanned++
      if (this.#live.isHeld(item.name)) this.#counts.heldBytes += item.info.size
      if (this.#isCandidate(item)) batch.push(item)
      if (this.#condemned.isFull) await this.#condemned.flush({ signal })
      if (batch.length < ROUND_SIZE) continue
      await this.#delete(batch)
      batch = []
      if (!this.#isReadable) return
    }
    await this.#delete(batch)
    if (!this.#isReadable) return
    await this.#condemned.flush({ signal })
    await this.#condemned.settle({ signal })
  }

  #isCandidate(item: Collectable): boolean {
    if (this.#live.has(item)) return false
    if (item.info.lastModified.getTime() + this.#graceMs > this.#now) {
      this.#keep('recent', item)
      return false
    }
    if (this.#condemned.isMature(item.name)) return true
    this.#keep('condemned', item)
    return false
  }

  async #delete(candidates: readonly Collectable[]): Promise<void> {
    if (candidates.length === 0) return
    if (this.#isDryRun) {
      for (const item of candidates) this.#count(item, 'would-delete')
      return
    }
    this.#counts.rounds++
    reportPlan(candidates.map(toBlob), this.#options)
    const { deleted, pinned, failed } = await runRound(candidates, await this.#roundContext())
    const gone = new Set(deleted)
    for (const item of candidates) {
      new BlobReport(toBlob(item), this.#options).end(gone.has(item) ? 'done' : 'skip')
    }
    for (const item of deleted) this.#count(item, 'deleted')
    for (const item of pinned) this.#keep('pinned', item)
    const items = new Map(candidates.map((item) => [item.info.key, item]))
    for (const failure of failed) {
      const item = items.get(failure.key)
      if (item) this.#fail(item.info, failure)
    }
  }

  async #roundContext(): Promise<RoundContext> {
    return {
      backend: this.#backend,
      live: this.#live,
      others: this.#others,
      ttlSeconds: this.#isDryRun ? undefined : await lifeOf(this.#backend, this.#options),
      who: this.#options.who ?? 'clean',
      signal: this.#options.signal,
      onProgress: this.#options.onProgress,
    }
  }

  #count(item: Collectable, kind: 'deleted' | 'would-delete'): void {
    this.#counts.deleted++
    this.#counts.freedBytes += item.info.size
    this.#tell(item, { kind })
  }

  #keep(kind: 'recent' | 'condemned' | 'pinned', item: Collectable): void {
    this.#kept[kind]++
    this.#tell(item, { kind })
  }

  #fail({ key, size }: Pick<ObjectInfo, 'key' | 'size'>, failure: DeleteFailure): void {
    this.#kept.failed++
    this.#options.onObject?.({ key, size, outcome: { kind: 'failed', failure } })
  }

  #tell({ info: { key, size } }: Collectable, outcome: Outcome): void {
    this.#options.onObject?.({ key, size, outcome })
  }
}

function toBlob({ digest, info: { size } }: Collectable): ReportedBlob {
  return { descriptor: { digest, size, mediaType: MEDIA_TYPE.octetStream }, platform: 'single' }
}
