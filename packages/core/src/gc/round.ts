import type { ProgressOptions } from '../contract/progress.ts'
import type { DeadlineOptions, DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import type { Collectable } from './collectable.ts'
import { MAX_TTL_SECONDS } from './control-key.ts'
import {
  type Author,
  type ControlObject,
  listControls,
  readControl,
  writeControl,
} from './control-object.ts'
import type { LiveContent } from './live-content.ts'
import { type NameSet, shorten } from './name-set.ts'
import type { Others } from './others.ts'
import { answerOf } from './participant.ts'
import { readLinkedNames } from './repository-leftovers.ts'
import { type Answer, mayDelete, mayRelease } from './steps.ts'

const KEYS_PER_REQUEST = 1000

/** What a round is opened with. */
export interface RoundOpening extends ProgressOptions {
  readonly backend: StorageBackend
  readonly others: Others
  /** `undefined` where the store enforces no deadlines. */
  readonly ttlSeconds: number | undefined
  readonly who: string
  readonly signal: AbortSignal | undefined
}

/** What a collector's round works with. */
export interface RoundContext extends RoundOpening {
  readonly live: LiveContent
}

/** A pin that was there when a round was open. */
interface SeenPin {
  readonly pin: ControlObject
  readonly names: NameSet
  readonly author: Author
}

/** What became of each candidate of a round. */
export interface RoundResult {
  readonly deleted: readonly Collectable[]
  readonly pinned: readonly Collectable[]
  readonly failed: readonly DeleteFailure[]
}

/** An open round, once the pins have been read. */
export interface OpenRound {
  /** By the store's clock, milliseconds since 1970: later than the listing of the pins by nothing. */
  readonly openedAt: number
  /** Those that are not over. */
  readonly pins: readonly SeenPin[]
  /** True for a name that a writer may be about to publish. */
  readonly isPinned: (name: string) => boolean
  /** Deletes in the order of the keys, under the round's deadline. */
  readonly delete: (keys: readonly string[]) => Promise<readonly DeleteFailure[]>
}

/**
 * Opens a round that names what may be deleted, reads the pins, and has `work` look again and delete:
 * no writer that comes later looks for one of the names before the round has ended.
 */
export async function inRound<T>(
  names: readonly string[],
  context: RoundOpening,
  work: (round: OpenRound) => Promise<T>,
): Promise<T> {
  const { backend, ttlSeconds, who, signal, onProgress } = context
  const options = { ttlSeconds, signal, onProgress }
  const startedAt = timestamps()
  const round = await writeControl(backend, 'round', { names: shorten(names), who }, options)
  const answers: Answer[] = []
  try {
    const pins = await readPins(round, context)
    return await work({
      openedAt: round.created,
      pins,
      isPinned: (name) => pins.some((pin) => pin.names.matches(name)),
      delete: (keys) => deleteBy(round, keys, answers, { ...context, startedAt }),
    })
  } finally {
    // Not bound to the signal: a round that is left makes writers wait for nothing.
    if (mayRelease(answers)) await backend.delete([round.key])
  }
}

/** What decides whether a candidate of a round is garbage. */
export interface Look {
  /** True for what is needed, as far as was seen. */
  readonly needs: (item: Collectable) => boolean
  /** Looks at the store, after the pins. False where something cannot be read: nothing is deleted then. */
  readonly again: (isPinned: OpenRound['isPinned']) => Promise<boolean>
}

/**
 * As {@link inRound}, for collectors: a link is a pin of one name, which a client may name for a day
 * (docs/garbage-collection.md, steps C3 to C7).
 */
export async function inCollectorRound<T>(
  names: readonly string[],
  context: RoundOpening,
  work: (round: OpenRound) => Promise<T>,
): Promise<T> {
  return inRound(names, context, async (round) => {
    const { backend, others, signal } = context
    const linked = await readLinkedNames(backend, { now: round.openedAt, others, signal })
    return work({ ...round, isPinned: (name) => linked.has(name) || round.isPinned(name) })
  })
}

/**
 * Deletes what is still garbage of the candidates: in a round that names them, it looks again after
 * the pins.
 */
export async function runRound(
  candidates: readonly Collectable[],
  { needs, again }: Look,
  context: RoundContext,
): Promise<RoundResult> {
  const names = candidates.map(({ name }) => name)
  return inCollectorRound(names, context, async (round) => {
    if (!(await again(round.isPinned))) return { deleted: [], pinned: [], failed: [] }
    const isPinned = ({ name }: Collectable): boolean => round.isPinned(name)
    const pinned = candidates.filter((item) => isPinned(item) && !needs(item))
    const doomed = candidates.filter((item) =>
      mayDelete({ isPinned: isPinned(item), isReferenced: needs(item) }),
    )
    const failed = await round.delete(doomed.map(({ info }) => info.key))
    const kept = new Set(failed.map(({ key }) => key))
    return { deleted: doomed.filter(({ info }) => !kept.has(info.key)), pinned, failed }
  })
}

/** Its own date is the collector's clock: too early a time only takes a dead pin for a live one. */
async function readPins(
  round: ControlObject,
  { backend, others, signal }: RoundOpening,
): Promise<readonly SeenPin[]> {
  const pins: SeenPin[] = []
  for await (const pin of listControls(backend, 'pin', { signal })) {
    if (others.isDead(pin, round.created)) continue
    // Gone: its writer has finished, and the scan that follows sees what it published.
    const read = await readControl(backend, pin, { signal })
    if (read && !(await others.isOver(pin, read.author, round.created))) pins.push({ pin, ...read })
  }
  return pins
}

/** Deletes in order, under the round's deadline; notes how each request was answered. */
async function deleteBy(
  { expires }: ControlObject,
  doomed: readonly string[],
  answers: Answer[],
  { backend, signal, startedAt }: RoundOpening & { readonly startedAt: Timestamps },
): Promise<readonly DeleteFailure[]> {
  const failed: DeleteFailure[] = []
  const options: DeadlineOptions = {
    signal,
    onUnanswered: () => answers.push('unknown'),
    ...(expires !== undefined && { notAfter: new Date(expires) }),
  }
  for (let start = 0; start < doomed.length; start += KEYS_PER_REQUEST) {
    if (expires === undefined) assertYoung(startedAt)
    const keys = doomed.slice(start, start + KEYS_PER_REQUEST)
    try {
      const failures = await backend.delete(keys, options)
      answers.push(...failures.map(({ error }) => answerOf(error)))
      failed.push(...failures)
    } catch (error) {
      // It may have been sent.
      answers.push('unknown')
      throw error
    }
  }
  return failed
}

/** By the clock that can be set and by the one that stands still while a machine sleeps. */
interface Timestamps {
  readonly wall: number
  readonly steady: number
}

function timestamps(): Timestamps {
  return { wall: Date.now(), steady: performance.now() }
}

/**
 * Where the store refuses nothing that comes late, a collector has to refuse itself: others that do
 * have deadlines take its round for over after the longest life. Half of that is left for the request.
 */
function assertYoung(startedAt: Timestamps): void {
  const now = timestamps()
  const age = Math.max(Math.abs(now.wall - startedAt.wall), now.steady - startedAt.steady)
  if (age < (MAX_TTL_SECONDS * 1000) / 2) return
  throw new S3loError('UNAVAILABLE', 'the look at the store took too long to delete after it', {
    hint: 'run it again',
  })
}
