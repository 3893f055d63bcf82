import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { DeleteFailure, ObjectInfo } from '../contract/storage-backend.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { BlobReport, type ReportedBlob, reportPlan } from '../progress/blob-report.ts'
import type { Collectable } from './collectable.ts'
import type { CondemnedNames } from './condemned.ts'
import { type Look, type RoundContext, runRound } from './round.ts'

/** Why an object was deleted, or why garbage stays for now. */
type Outcome =
  | { readonly kind: 'deleted' | 'would-delete' }
  /** Younger than the grace period: it may belong to a push that writes no pin. */
  | { readonly kind: 'recent' }
  /** Garbage for less than the grace period; or a chunk, and a recipe that names it stays for now. */
  | { readonly kind: 'condemned' }
  /** A push or copy that is running has named it. */
  | { readonly kind: 'pinned' }
  /** Of the Go program's chunk format: its writers may re-use it without a word. */
  | { readonly kind: 'go-writers' }
  | { readonly kind: 'failed'; readonly failure: DeleteFailure }

/** An object that no published manifest needs, and what was done about it. */
export interface CollectedObject {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly outcome: Outcome
}

export interface SweepOptions extends CallOptions, ProgressOptions {
  /** By the store's clock, milliseconds since 1970. */
  readonly now: number
  readonly graceMs: number
  readonly isDryRun: boolean
  readonly condemned: CondemnedNames
  /** Of each round. */
  readonly context: () => Promise<RoundContext>
  readonly onObject: ((object: CollectedObject) => void) | undefined
}

/** What decides about the objects of one listing. */
export interface SweepLook extends Look {
  /** True for what is garbage as far as was seen. */
  readonly isGarbage: (item: Collectable) => boolean
  /** True for bytes that only untagged images need. */
  readonly isHeld: (item: Collectable) => boolean
  /** False where writers that do not tell what they re-use have ended, by an operator's word. */
  readonly isCondemned?: boolean
  /** Gets each object that was deleted, or would be. */
  readonly onGone?: (item: Collectable) => void
}

/** Objects of one round: a writer that uses one of them waits for the round to end. */
const ROUND_SIZE = 4000

/** Deletes the garbage of listings, in rounds, and counts what became of it. */
export class Sweep {
  readonly #options: SweepOptions
  readonly counts = { scanned: 0, deleted: 0, freedBytes: 0, rounds: 0, heldBytes: 0 }
  readonly kept = { recent: 0, condemned: 0, pinned: 0, failed: 0 }
  /** What stays because a writer of the Go program may re-use it. */
  readonly goGarbage = { objects: 0, bytes: 0 }

  constructor(options: SweepOptions) {
    this.#options = options
  }

  /** Deletes the garbage of a listing. False when a look in between could not read something. */
  async run(items: AsyncIterable<Collectable>, look: SweepLook): Promise<boolean> {
    const { condemned, signal } = this.#options
    let batch: Collectable[] = []
    for await (const item of items) {
      this.#scan(item, look)
      if (this.#isCandidate(item, look)) batch.push(item)
      if (condemned.isFull) await condemned.flush({ signal })
      if (batch.length < ROUND_SIZE) continue
      if (!(await this.#delete(batch, look))) return false
      batch = []
    }
    return this.#delete(batch, look)
  }

  /** Counts the garbage of a listing of the Go program's, all of which stays. */
  async count(items: AsyncIterable<Collectable>, look: SweepLook): Promise<void> {
    for await (const item of items) {
      this.#scan(item, look)
      if (!look.isGarbage(item) || this.#isRecent(item)) continue
      this.goGarbage.objects++
      this.goGarbage.bytes += item.info.size
      this.#tell(item, { kind: 'go-writers' })
    }
  }

  fail({ key, size }: Pick<ObjectInfo, 'key' | 'size'>, failure: DeleteFailure): void {
    this.kept.failed++
    this.#options.onObject?.({ key, size, outcome: { kind: 'failed', failure } })
  }

  #scan(item: Collectable, { isHeld }: SweepLook): void {
    this.counts.scanned++
    if (isHeld(item)) this.counts.heldBytes += item.info.size
  }

  #isCandidate(item: Collectable, { isGarbage, needs, isCondemned = true }: SweepLook): boolean {
    if (!isGarbage(item)) return false
    if (this.#isRecent(item)) return false
    if ((!isCondemned || this.#options.condemned.isMature(item.mark)) && !needs(item)) return true
    this.#keep('condemned', item)
    return false
  }

  #isRecent(item: Collectable): boolean {
    const { now, graceMs } = this.#options
    if (item.info.lastModified.getTime() + graceMs <= now) return false
    this.#keep('recent', item)
    return true
  }

  async #delete(candidates: readonly Collectable[], look: SweepLook): Promise<boolean> {
    if (candidates.length === 0) return true
    if (this.#options.isDryRun) {
      for (const item of candidates) this.#count(item, 'would-delete', look)
      return true
    }
    this.counts.rounds++
    reportPlan(candidates.map(toBlob), this.#options)
    let isReadable = true
    const again: Look['again'] = async (isPinned) => (isReadable = await look.again(isPinned))
    const context = await this.#options.context()
    const { deleted, pinned, failed } = await runRound(candidates, { ...look, again }, context)
    const gone = new Set(deleted)
    for (const item of candidates) {
      new BlobReport(toBlob(item), this.#options).end(gone.has(item) ? 'done' : 'skip')
    }
    for (const item of deleted) this.#count(item, 'deleted', look)
    for (const item of pinned) this.#keep('pinned', item)
    const items = new Map(candidates.map((item) => [item.info.key, item]))
    for (const failure of failed) {
      const item = items.get(failure.key)
      if (item) this.fail(item.info, failure)
    }
    return isReadable
  }

  #count(item: Collectable, kind: 'deleted' | 'would-delete', { onGone }: SweepLook): void {
    this.counts.deleted++
    this.counts.freedBytes += item.info.size
    onGone?.(item)
    this.#tell(item, { kind })
  }

  #keep(kind: 'recent' | 'condemned' | 'pinned', item: Collectable): void {
    this.kept[kind]++
    this.#tell(item, { kind })
  }

  #tell({ info: { key, size } }: Collectable, outcome: Outcome): void {
    this.#options.onObject?.({ key, size, outcome })
  }
}

function toBlob({ digest, info: { size } }: Collectable): ReportedBlob {
  return { descriptor: { digest, size, mediaType: MEDIA_TYPE.octetStream }, platform: 'single' }
}
