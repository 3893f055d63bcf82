import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { GO_CHUNKS, OWN_CHUNKS } from './chunk-format.ts'
import { listCollectable, listGoRecipes } from './collectable.ts'
import { CondemnedNames } from './condemned.ts'
import { type HousekeepingResult, keepHouse } from './housekeeping.ts'
import { findLegacyFolder, isLegacySidecar } from './legacy-trace.ts'
import { LiveChunks } from './live-chunks.ts'
import {
  type LayerState,
  type ListedManifests,
  LiveContent,
  type UnreadableManifest,
} from './live-content.ts'
import { Others } from './others.ts'
import { lifeOf, type ParticipantOptions } from './participant.ts'
import { collectRecords, type RecordResult, type UntaggedImage } from './record-collector.ts'
import { type ExpiryOptions, RecordExpiry } from './record-expiry.ts'
import type { RoundContext } from './round.ts'
import { type CollectedObject, Sweep, type SweepLook } from './sweep.ts'
import type { Census } from './tag-census.ts'
import { peekTime, readTime } from './store-clock.ts'

export interface CollectOptions extends ParticipantOptions, ExpiryOptions {
  /** Deletes; otherwise nothing is written and the result says what would be. */
  readonly confirm?: boolean | undefined
  /** Milliseconds (default 1 h) for writers without pins, from the later of object age and condemnation. */
  readonly graceMs?: number | undefined
  /** Tags (`image:tag`) that may be unreadable: what only they need is deleted. */
  readonly ignore?: Iterable<string> | undefined
  /** What was seen before: a listing with far fewer tags ends the collection with `INTEGRITY`. */
  readonly census?: Census | undefined
  /** What a listing that was just made shows of tags, for the plan of progress. */
  readonly listed?: ListedManifests | undefined
  /**
   * The operator's word that no writer of version 3 of the Go program runs: what it stored in chunks
   * and nothing needs is deleted as well. Otherwise it is counted.
   */
  readonly goWritersStopped?: boolean | undefined
  /** Called for every object that no manifest needs, one by one: they may be a million. */
  readonly onObject?: ((object: CollectedObject) => void) | undefined
  /** Called for every untagged image, one by one. */
  readonly onUntagged?: ((image: UntaggedImage) => void) | undefined
  /** From which age unfinished work was abandoned (milliseconds, default a day): for tests. */
  readonly abandonedAfterMs?: number | undefined
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
  /** Recipes that cannot be read: while there is one, no chunk of its format was deleted. */
  readonly unreadableRecipes: readonly UnreadableManifest[]
  /** What the Go program stored in chunks, is garbage, and stays without the operator's word. */
  readonly goGarbage: { readonly objects: number; readonly bytes: number }
  /** An object that only a program without pins writes: what it re-uses without touching is not safe. */
  readonly legacyTrace?: ObjectInfo
}

export const DEFAULT_GRACE_MS = 3_600_000

/**
 * Deletes content that no published manifest needs, while pushes and other collections run. Nothing
 * that was published or is about to be is ever deleted (docs/garbage-collection.md). Memory is
 * 32 to 64 bytes for each name and chunk that is live and, with a grace period, for each that is garbage.
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
  readonly #isDryRun: boolean
  readonly #others: Others
  readonly #live: LiveContent
  readonly #own: LiveChunks
  readonly #go: LiveChunks
  readonly #condemned: CondemnedNames
  readonly #expiry: RecordExpiry
  readonly #sweep: Sweep
  readonly #unreadableRecipes: UnreadableManifest[] = []

  constructor(backend: StorageBackend, options: CollectOptions, now: number) {
    this.#backend = backend
    this.#options = options
    this.#now = now
    this.#isDryRun = !(options.confirm ?? false)
    this.#others = new Others(backend, options)
    this.#expiry = new RecordExpiry(options)
    this.#live = new LiveContent(backend, {
      ignore: new Set(options.ignore),
      census: options.census,
      listed: options.listed,
    })
    this.#own = new LiveChunks(backend, OWN_CHUNKS)
    this.#go = new LiveChunks(backend, GO_CHUNKS)
    const { graceMs = DEFAULT_GRACE_MS, onObject, onProgress, signal } = options
    const isDryRun = this.#isDryRun
    this.#condemned = new CondemnedNames(backend, { now, graceMs, isDryRun })
    this.#sweep = new Sweep({
      now,
      graceMs,
      isDryRun,
      condemned: this.#condemned,
      context: () => this.#roundContext(),
      onObject,
      onProgress,
      signal,
    })
  }

  async run(): Promise<CollectResult> {
    const { abandonedAfterMs, signal, onProgress } = this.#options
    const house = await keepHouse(this.#backend, {
      now: this.#now,
      others: this.#others,
      isDryRun: this.#isDryRun,
      abandonedAfterMs,
      signal,
    })
    const goFolder = await findLegacyFolder(this.#backend, { signal })
    let legacyTrace = goFolder
    const onFile = (info: ObjectInfo): void => {
      if (isLegacySidecar(info.key)) legacyTrace ??= info
    }
    const expiry = { now: this.#now, expiry: this.#expiry }
    await this.#live.scan({ signal, onProgress, onFile, expiry })
    const records = this.#isReadable ? await this.#expire() : NO_RECORDS
    if (this.#isReadable) await this.#collect(goFolder !== undefined)
    const { counts, kept, goGarbage } = this.#sweep
    return {
      dryRun: this.#isDryRun,
      tags: this.#live.tags,
      ...records,
      ...counts,
      rounds: records.rounds + counts.rounds,
      ...kept,
      ...house,
      unreadable: this.#live.unreadable,
      unreadableRecipes: this.#unreadableRecipes,
      goGarbage,
      ...(legacyTrace ? { legacyTrace } : {}),
    }
  }

  get #isReadable(): boolean {
    return this.#live.unreadable.length === 0
  }

  async #expire(): Promise<RecordResult> {
    return collectRecords({
      ...(await this.#roundContext()),
      expiry: this.#expiry,
      isDryRun: this.#isDryRun,
      onUntagged: this.#options.onUntagged,
      onFailure: (failure) => this.#sweep.fail({ key: failure.key, size: 0 }, failure),
    })
  }

  /** What says something about layers goes before them, and recipes before chunks. */
  async #collect(hasGo: boolean): Promise<void> {
    const { signal } = this.#options
    const chunks = hasGo ? [this.#own, this.#go] : [this.#own]
    for (const each of chunks) await each.mark(this.#stateOf, { signal })
    const isLive = (mark: string): boolean =>
      this.#live.has({ name: mark }) || chunks.some((each) => each.isLive(mark))
    await this.#condemned.load(isLive, { signal })
    const content = listCollectable(this.#backend, { signal })
    if (!(await this.#sweep.run(content, this.#contentLook(this.#own)))) return
    const isDone = await this.#sweepChunks(this.#own, true)
    const isGoDone = !hasGo || (await this.#collectGo())
    await this.#condemned.flush({ signal })
    if (isDone && isGoDone) await this.#condemned.settle({ signal })
  }

  readonly #stateOf = (name: string): LayerState => this.#live.stateOf(name)

  /** Of everything but chunks: manifests need it. */
  #contentLook(chunks: LiveChunks): SweepLook {
    const { signal } = this.#options
    return {
      isGarbage: (item) => !this.#live.has(item),
      needs: (item) => this.#live.has(item),
      isHeld: ({ name }) => this.#live.stateOf(name) === 'untagged',
      again: async (isPinned) => {
        await this.#live.scan({ signal, isPinned })
        return this.#isReadable
      },
      onGone: (item) => {
        if (this.#isDryRun && item.isRecipe) chunks.forget(item)
      },
    }
  }

  /** Of chunks: recipes need them. */
  #chunkLook(chunks: LiveChunks, isCondemned: boolean): SweepLook {
    const { signal } = this.#options
    return {
      isGarbage: ({ mark }) => !chunks.isLive(mark),
      needs: ({ mark }) => chunks.isNamed(mark),
      isHeld: ({ mark }) => chunks.isHeld(mark),
      isCondemned,
      again: async () => {
        await chunks.scan(this.#stateOf, { signal })
        return chunks.unreadable.length === 0
      },
    }
  }

  /** False where a recipe cannot be read. */
  async #sweepChunks(chunks: LiveChunks, isCondemned: boolean): Promise<boolean> {
    const { signal } = this.#options
    await chunks.scan(this.#stateOf, { signal })
    const look = this.#chunkLook(chunks, isCondemned)
    const isDone =
      chunks.unreadable.length === 0 && (await this.#sweep.run(chunks.list({ signal }), look))
    this.#unreadableRecipes.push(...chunks.unreadable)
    return isDone
  }

  /** Of what the Go program stored in chunks. False where it could not be done. */
  async #collectGo(): Promise<boolean> {
    const { signal, goWritersStopped = false } = this.#options
    const recipes = listGoRecipes(this.#backend, { signal })
    const look = { ...this.#contentLook(this.#go), isCondemned: false }
    if (goWritersStopped) {
      return (await this.#sweep.run(recipes, look)) && this.#sweepChunks(this.#go, false)
    }
    await this.#sweep.count(recipes, look)
    // Where a recipe of a live layer cannot be read, what is garbage cannot be told.
    if (this.#go.unreadable.length > 0) return true
    await this.#sweep.count(this.#go.list({ signal }), this.#chunkLook(this.#go, false))
    return true
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
}

const NO_RECORDS: RecordResult = { recordsDeleted: 0, untagged: 0, rounds: 0 }
