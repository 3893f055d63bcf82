import type { StorageBackend } from '../contract/storage-backend.ts'
import { hasOwnerEnded } from '../process-identity.ts'
import { MAX_TTL_SECONDS } from './control-key.ts'
import type { Author, ControlObject } from './control-object.ts'
import { DEFAULT_MARGIN_MS, type ParticipantOptions } from './participant.ts'
import { isDead, isOverAfterEnd, type Lifetime } from './steps.ts'

/** Judges the pins and rounds of other participants. */
export class Others {
  readonly #backend: StorageBackend
  readonly #marginMs: number
  readonly #ended: ReadonlySet<string>
  /** When a process was first seen to have ended, by the store's clock and the key of its object. */
  readonly #seenEnded = new Map<string, number>()

  constructor(
    backend: StorageBackend,
    { marginMs, ended }: Pick<ParticipantOptions, 'marginMs' | 'ended'>,
  ) {
    this.#backend = backend
    this.#marginMs = marginMs ?? DEFAULT_MARGIN_MS
    this.#ended = ended ?? new Set()
  }

  /** True when it is dead at a moment of the store's clock, or by an operator's word. */
  isDead(object: ControlObject, now: number): boolean {
    return this.#ended.has(object.id) || isDead(this.#lifetime(object), now, this.#marginMs)
  }

  /** True when what expires at a moment protects nothing any more at another one, for links. */
  isDeadAt(expires: number, now: number): boolean {
    return isDead({ expires }, now, this.#marginMs)
  }

  /** As {@link isDead}, or its process has ended here and nothing that it sent can take effect. */
  async isOver(object: ControlObject, { owner }: Author, now: number): Promise<boolean> {
    if (this.isDead(object, now)) return true
    if (owner === undefined || !(await hasOwnerEnded(owner))) return false
    const endedAt = this.#seenEnded.get(object.key) ?? now
    this.#seenEnded.set(object.key, endedAt)
    return isOverAfterEnd(endedAt, now, this.#requestsLastMs)
  }

  /** True when the process has been seen to have ended. */
  hasEnded({ key }: ControlObject): boolean {
    return this.#seenEnded.has(key)
  }

  /** When it is over at the latest, by the store's clock; `undefined`: when an operator says so. */
  overAt(object: ControlObject): number | undefined {
    const { expires } = this.#lifetime(object)
    const dies = expires === undefined ? undefined : expires + this.#marginMs
    const endedAt = this.#seenEnded.get(object.key)
    if (endedAt === undefined) return dies
    return Math.min(endedAt + this.#requestsLastMs, dies ?? Infinity)
  }

  /** How long a request may be under way whose sender has ended. */
  get #requestsLastMs(): number {
    return this.#backend.guarantees.endsWithProcess === true ? -1 : this.#marginMs
  }

  /**
   * A round without a lifetime is a collector's that has no deadlines. It works for as long as the
   * longest life at most (see `runRound`), so where the store has deadlines for others it counts for
   * no longer. A pin without one stays: no process waits for it.
   */
  #lifetime({ kind, created, expires }: ControlObject): Lifetime {
    if (expires !== undefined || kind === 'pin' || !this.#backend.guarantees.deadlines) {
      return { expires }
    }
    return { expires: created + MAX_TTL_SECONDS * 1000 }
  }
}
