/**
 * The decisions of the collection protocol, as pure functions of what a participant has seen. The
 * writer, the collector and the model that is checked over millions of states share them, so that
 * what is checked is what runs (docs/garbage-collection.md). Times are milliseconds since 1970 by
 * the store's clock.
 */

/** What is known of a pin or a round. */
export interface Lifetime {
  /** When the store starts to refuse what depends on it; `undefined`: never, only by an operator's word. */
  readonly expires: number | undefined
}

/** How a request that can do harm ended. `unknown`: it may still take effect until its deadline. */
export type Answer = 'done' | 'refused' | 'unknown'

/**
 * True when nothing that depends on a pin or round can take effect any more. The margin covers what
 * the store's own clocks disagree by, and how long it may hold a request that it has accepted.
 */
export function isDead({ expires }: Lifetime, now: number, margin: number): boolean {
  return expires !== undefined && now > expires + margin
}

/**
 * True when a pin or round is over although its time has not come: its process ended before
 * `endedAt`, and what it had sent has had `requestsLast` to take effect; less than nothing where
 * requests end with their process.
 */
export function isOverAfterEnd(endedAt: number, now: number, requestsLast: number): boolean {
  return now > endedAt + requestsLast
}

/** The deadline of a request that depends on all of these: the smallest of theirs. */
export function deadlineOf(lifetimes: Iterable<Lifetime>): number | undefined {
  let deadline: number | undefined
  for (const { expires } of lifetimes) {
    if (expires !== undefined && (deadline === undefined || expires < deadline)) deadline = expires
  }
  return deadline
}

/** True when a pin written at `renewedAt` follows an older one of the same names without a gap. */
export function continuesCover(older: Lifetime, renewedAt: number): boolean {
  return older.expires === undefined || renewedAt < older.expires
}

/** The rounds that a writer must see the end of before it looks for a name. */
export function waitSet<R>(
  rounds: Iterable<R>,
  isCondemning: (round: R) => boolean,
  isRoundDead: (round: R) => boolean,
): readonly R[] {
  return [...rounds].filter((round) => !isRoundDead(round) && isCondemning(round))
}

/** True when a writer may look for a name: every round of its wait set is gone or dead. */
export function mayLook<R>(
  waitingFor: Iterable<R>,
  isOpen: (round: R) => boolean,
  isRoundDead: (round: R) => boolean,
): boolean {
  for (const round of waitingFor) if (isOpen(round) && !isRoundDead(round)) return false
  return true
}

/**
 * True when what was found out about a name still counts: since then the names have been under
 * pins without a gap. Covers are numbered; a gap starts the next one.
 */
export function isStillChecked(checkedUnder: number | undefined, cover: number): boolean {
  return checkedUnder === cover
}

/** True when a collector may delete a name that was garbage when it marked. */
export function mayDelete(name: {
  /** By a pin that was not dead when pins were listed, after the round was opened. */
  readonly isPinned: boolean
  /** By a manifest that was read after the pins. */
  readonly isReferenced: boolean
}): boolean {
  return !name.isPinned && !name.isReferenced
}

/**
 * The age that the record of an untagged manifest must have to expire: no pin under which it was
 * written, and none under which its tag was moved or deleted afterwards, lives as long (milliseconds).
 */
export function leastAge(keepMs: number, leastMs: number, margin: number): number {
  return Math.max(keepMs, leastMs + margin)
}

/** True when a collector may delete the record of a manifest, with which it is no longer pullable by its digest. */
export function mayExpire(
  record: {
    /** By a pin that was not dead when pins were listed, after the round was opened. */
    readonly isPinned: boolean
    /** By a tag of its repository, or an index that is a root of it, read after the pins. */
    readonly isReached: boolean
    /** What it refers to is a root of its repository, or reached or pinned as above. */
    readonly hasLiveSubject: boolean
    /** By its date in the listing that followed the one of the tags. */
    readonly expiresAt: number
  },
  now: number,
): boolean {
  const { isPinned, isReached, hasLiveSubject, expiresAt } = record
  return !isPinned && !isReached && !hasLiveSubject && now > expiresAt
}

/**
 * True when a participant may remove its own pin or round: no request that depends on it can still
 * land. Otherwise it is left to die.
 */
export function mayRelease(answers: Iterable<Answer>): boolean {
  for (const answer of answers) if (answer === 'unknown') return false
  return true
}
