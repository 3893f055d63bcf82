import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError, toS3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { MAX_MANIFEST_BYTES } from '../oci/document.ts'
import { readObject } from '../store/read-object.ts'
import { type ControlObject, writeControl } from './control-object.ts'
import { nameOf, shorten } from './name-set.ts'
import { Others } from './others.ts'
import {
  answerOf,
  defaultDelay,
  type Delay,
  lifeOf,
  type ParticipantOptions,
} from './participant.ts'
import type { ContentPlace, Look, Origin, Release, TagWrite } from './protected-write.ts'
import { type OpenRound, RoundWatch } from './rounds-in-progress.ts'
import { type Answer, continuesCover, deadlineOf, isStillChecked, mayRelease } from './steps.ts'
import { StoreClock } from './store-clock.ts'

export interface ProtectionOptions extends ParticipantOptions {
  /** Between two looks at a round that is waited for (milliseconds, default 2000). */
  readonly pollMs?: number | undefined
}

/** Content that was seen or written under a pin. */
interface Checked {
  readonly descriptor: Descriptor
  readonly place: ContentPlace
  /** What {@link Protection.settle} gave before. */
  readonly cover: number
}

/** Names that were pinned together. */
interface Batch {
  readonly digests: readonly string[]
  /** The one that covers the names now. */
  pin: ControlObject
  /** The rounds that were open when the present cover began. */
  rounds: readonly OpenRound[]
  /** Counts on whenever there was a gap between two pins. */
  cover: number
}

/** How often a publication is tried again that its deadline refused. */
const MAX_ATTEMPTS = 5

/** The store's clocks may disagree by this when one of them says why a request was refused. */
const CLOCK_SLACK_MS = 15_000

/**
 * Keeps collectors away from what a push or copy is about to publish, however long it takes and
 * wherever it is interrupted: pins before looking, looks only when no round can delete any more,
 * and a publication that the store itself refuses once the pins may have been overlooked.
 *
 * For one publication: three requests beside its own (write pin, list rounds, remove pin), and one
 * more for each third of a pin's life that it takes.
 */
export class Protection {
  readonly #backend: StorageBackend
  readonly #look: Look
  readonly #options: ProtectionOptions
  readonly #delay: Delay
  readonly #clock: StoreClock
  readonly #watch: RoundWatch
  readonly #pinned = new Map<string, Promise<Batch>>()
  readonly #batches: Batch[] = []
  readonly #checked = new Map<string, Checked>()
  readonly #pinKeys: string[] = []
  readonly #answers: Answer[] = []
  /** The covers under which each origin was read. */
  readonly #confirmed = new Map<Origin, string>()
  readonly #renewal = new AbortController()
  #isRenewing = false

  /** `look` is what {@link has} answers, once no round can delete any more. */
  constructor(backend: StorageBackend, look: Look, options: ProtectionOptions = {}) {
    this.#backend = backend
    this.#look = look
    this.#options = options
    this.#delay = options.delay ?? defaultDelay
    this.#clock = new StoreClock(backend, options)
    this.#watch = new RoundWatch(backend, {
      clock: this.#clock,
      others: new Others(backend, options),
      onProgress: options.onProgress,
      delay: this.#delay,
      pollMs: options.pollMs ?? 2000,
    })
  }

  /** A moment of the store's clock, not more than a third of a pin's life ago; `undefined` without pins. */
  get time(): number | undefined {
    const created = this.#batches.map(({ pin }) => pin.created)
    return created.length === 0 ? undefined : Math.max(...created)
  }

  /** How often the pins were written again too late: what was done before counts no more. */
  get gaps(): number {
    return this.#batches.reduce((gaps, { cover }) => gaps + cover, 0)
  }

  /** After this moment the store refuses what depends on the pins; `undefined` where it refuses nothing. */
  get deadline(): number | undefined {
    return deadlineOf(this.#batches.map(({ pin }) => pin))
  }

  /** Pins the digests that are not pinned yet: one write and one listing for any number. */
  async protect(digests: Iterable<string>, options: CallOptions = {}): Promise<void> {
    if (this.#renewal.signal.aborted) throw new S3loError('INTERNAL', 'the pins were released')
    const fresh = [...new Set(digests)].filter((digest) => !this.#pinned.has(digest))
    if (fresh.length === 0) return
    const batch = this.#open(fresh, options)
    for (const digest of fresh) this.#pinned.set(digest, batch)
    try {
      await batch
    } catch (error) {
      for (const digest of fresh) this.#pinned.delete(digest)
      throw error
    }
  }

  /** Looks for content, after every round that may delete it. What is found counts for {@link publish}. */
  async has(
    descriptor: Descriptor,
    options: CallOptions = {},
    place: ContentPlace = 'blobs',
  ): Promise<boolean> {
    const cover = await this.settle(descriptor.digest, options)
    const isThere = await this.#look(descriptor, options, place)
    if (isThere) this.note({ descriptor, place, cover })
    return isThere
  }

  /** Has content written, after every round that may delete it. Gives what `write` does: false for nothing written. */
  async put(
    descriptor: Descriptor,
    write: () => Promise<boolean>,
    options: CallOptions = {},
    place: ContentPlace = 'blobs',
  ): Promise<boolean> {
    const cover = await this.settle(descriptor.digest, options)
    const isWritten = await write()
    if (isWritten) this.note({ descriptor, place, cover })
    return isWritten
  }

  /**
   * Pins the digest, and resolves once no round can delete what it names. Gives the present cover, with
   * which {@link note} says what was seen or written after that.
   */
  async settle(digest: string, options: CallOptions = {}): Promise<number> {
    await this.protect([digest], options)
    const batch = await this.#pinned.get(digest)
    if (!batch) throw new S3loError('INTERNAL', `${digest} is not pinned`)
    // Taken before the wait: a gap meanwhile makes what is found afterwards count for nothing.
    const { cover, rounds } = batch
    await this.#watch.waitFor(rounds, nameOf(digest), options)
    return cover
  }

  /** Counts content for {@link publish}: after a gap between pins it is looked for again. */
  note(checked: Checked): void {
    this.#checked.set(`${checked.place} ${checked.descriptor.digest}`, checked)
  }

  /** True while the digest is pinned, so that {@link has} and {@link put} need no pin of their own. */
  covers(digest: string): boolean {
    return this.#pinned.has(digest) && !this.#renewal.signal.aborted
  }

  /**
   * Publishes under the deadline of the pins. When the store refuses it as too late, everything is
   * looked for again under new pins. Resolves to the object; to `undefined` where the write got no
   * answer and has landed. Throws `UNAVAILABLE` when content was collected meanwhile, and `CONFLICT`
   * when the origin was deleted or overwritten.
   */
  async publish(write: TagWrite): Promise<ObjectInfo | undefined> {
    for (let attempt = 1; ; attempt++) {
      const deadline = await this.#readyUntil(write)
      try {
        const info = await this.#write(write, deadline)
        this.#answers.push('done')
        return info
      } catch (error) {
        const answer = answerOf(error)
        if (answer === 'unknown') {
          this.#answers.push(answer)
          if (await this.#hasLanded(write, error)) return undefined
          throw error
        }
        const isLate =
          deadline !== undefined &&
          isS3loError(error, 'FORBIDDEN') &&
          (await this.#renew({ signal: write.signal })) >= deadline - CLOCK_SLACK_MS
        if (!isLate || attempt === MAX_ATTEMPTS) throw error
      }
    }
  }

  /**
   * Removes the pins, unless a publication may still land: then they are left to die. To be called
   * once, after success and failure; never throws.
   */
  async release(options: CallOptions = {}): Promise<Release> {
    this.#renewal.abort()
    // A pin that is being written belongs to the keys when its answer comes.
    await Promise.allSettled(this.#pinned.values())
    const isDefinite = mayRelease(this.#answers)
    const left = isDefinite ? [] : this.#pinKeys
    const keys = [...(isDefinite ? this.#pinKeys : []), ...this.#clock.keys()]
    if (keys.length === 0) return { left, failures: [] }
    try {
      return { left, failures: await this.#backend.delete(keys, options) }
    } catch (error) {
      const failure = toS3loError(error, 'UNAVAILABLE', 'the pins were not removed')
      return { left, failures: keys.map((key) => ({ key, error: failure })) }
    }
  }

  #write(
    { key, content, mediaType, condition, signal }: TagWrite,
    deadline: number | undefined,
  ): Promise<ObjectInfo> {
    return this.#backend.put(key, content, {
      size: content.byteLength,
      mediaType,
      condition,
      signal,
      notAfter: deadline === undefined ? undefined : new Date(deadline),
      onUnanswered: () => this.#answers.push('unknown'),
    })
  }

  async #open(digests: readonly string[], options: CallOptions): Promise<Batch> {
    const pin = await this.#writePin(digests, options)
    const batch = { digests, pin, rounds: await this.#contesting(digests, pin, options), cover: 0 }
    this.#batches.push(batch)
    this.#keepRenewing(pin)
    return batch
  }

  async #writePin(digests: readonly string[], { signal }: CallOptions): Promise<ControlObject> {
    const names = shorten(digests.map(nameOf))
    const content = { names, who: this.#options.who ?? 'push or copy' }
    return writeControl(this.#backend, 'pin', content, {
      // Where the store enforces no deadlines, nothing of ours may ever count as dead.
      ttlSeconds: await lifeOf(this.#backend, { ...this.#options, signal }),
      signal,
      onProgress: this.#options.onProgress,
      // Before the answer: an aborted write may have landed, and where nothing expires it would stay.
      onKey: (key) => this.#pinKeys.push(key),
    })
  }

  #contesting(
    digests: readonly string[],
    pin: ControlObject,
    options: CallOptions,
  ): Promise<readonly OpenRound[]> {
    return this.#watch.contesting(digests.map(nameOf), pin.created, options)
  }

  /** The deadline for publishing, once everything that was looked at counts under the present pins. */
  async #readyUntil(write: TagWrite): Promise<number | undefined> {
    const { digests, origin, prepared, signal } = write
    await this.protect(digests, { signal })
    for (let preparedAt = prepared?.gaps; ;) {
      const { gaps } = this
      if (prepared && preparedAt !== gaps) {
        await prepared.again()
        preparedAt = gaps
        continue
      }
      for (const checked of this.#outdated()) await this.#recheck(checked, { signal })
      const covers = this.#covers()
      if (origin && this.#confirmed.get(origin) !== covers) {
        await this.#settleAll({ signal })
        await this.#assertUnchanged(origin, { signal })
        this.#confirmed.set(origin, covers)
      }
      // Nothing is awaited between these tests and the deadline, so a renewal cannot come between.
      if (this.#outdated().length > 0 || this.#covers() !== covers) continue
      return this.deadline
    }
  }

  /** Resolves once no round can delete anything that is pinned. */
  async #settleAll(options: CallOptions): Promise<void> {
    for (const batch of new Set(this.#pinned.values())) {
      const { digests, rounds } = await batch
      if (rounds.length === 0) continue
      for (const digest of digests) await this.#watch.waitFor(rounds, nameOf(digest), options)
    }
  }

  #outdated(): readonly Checked[] {
    const covers = new Map<string, number>()
    for (const { digests, cover } of this.#batches) for (const d of digests) covers.set(d, cover)
    return [...this.#checked.values()].filter(
      ({ descriptor, cover }) => !isStillChecked(cover, covers.get(descriptor.digest) ?? -1),
    )
  }

  #covers(): string {
    return this.#batches.map(({ cover }) => cover).join()
  }

  async #recheck({ descriptor, place }: Checked, options: CallOptions): Promise<void> {
    if (await this.has(descriptor, options, place)) return
    throw new S3loError(
      'UNAVAILABLE',
      `${descriptor.digest} was collected while the push was interrupted`,
      { hint: 'run it again: what is still there is not sent again' },
    )
  }

  async #assertUnchanged({ key, content, name }: Origin, options: CallOptions): Promise<void> {
    const now = await readObject(this.#backend, key, MAX_MANIFEST_BYTES, options)
    if (now && Buffer.compare(now, content) === 0) return
    throw new S3loError('CONFLICT', `${name} was ${now ? 'overwritten' : 'deleted'} meanwhile`, {
      hint: 'run it again to copy what is there now',
    })
  }

  async #hasLanded({ key, content, signal }: TagWrite, error: unknown): Promise<boolean> {
    try {
      const now = await readObject(this.#backend, key, content.byteLength, { signal })
      return now !== undefined && Buffer.compare(now, content) === 0
    } catch {
      throw error // It is unknown whether it was published; the first failure says why.
    }
  }

  #keepRenewing({ created, expires }: ControlObject): void {
    if (this.#isRenewing || expires === undefined) return
    this.#isRenewing = true
    void this.#renewUntilReleased((expires - created) / 3)
  }

  async #renewUntilReleased(everyMs: number): Promise<void> {
    const { signal } = this.#renewal
    while (!signal.aborted) {
      try {
        await this.#delay(everyMs, signal, true)
        await this.#renew({ signal })
      } catch {
        // The pins run out if this lasts, and the store refuses the publication: nothing is lost.
      }
    }
  }

  /** One pin for all names, before the old ones run out. Returns the store's time. */
  async #renew(options: CallOptions): Promise<number> {
    const batches = [...this.#batches]
    const digests = batches.flatMap((batch) => batch.digests)
    const pin = await this.#writePin(digests, options)
    for (const batch of batches) {
      if (continuesCover(batch.pin, pin.created)) {
        if (batch.pin.created <= pin.created) batch.pin = pin
        continue
      }
      const rounds = await this.#contesting(batch.digests, pin, options)
      Object.assign(batch, { pin, rounds, cover: batch.cover + 1 })
    }
    return pin.created
  }
}
