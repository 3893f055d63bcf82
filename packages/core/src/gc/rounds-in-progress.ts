import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { formatStore } from '../layout/format-store.ts'
import { type Author, type ControlObject, listControls, readControl } from './control-object.ts'
import type { NameSet } from './name-set.ts'
import type { Others } from './others.ts'
import type { Delay } from './participant.ts'
import { describeParticipant, nameParticipant } from './participants.ts'
import { mayLook, waitSet } from './steps.ts'
import type { StoreClock } from './store-clock.ts'

/** A round that was open when a pin had been written, and what it condemns. */
export interface OpenRound {
  readonly round: ControlObject
  readonly names: NameSet
  readonly author: Author
}

/** What a {@link RoundWatch} works with. */
export interface RoundWatchOptions extends ProgressOptions {
  readonly clock: StoreClock
  readonly others: Others
  readonly delay: Delay
  readonly pollMs: number
}

/** What a writer knows of the collectors' rounds. */
export class RoundWatch {
  readonly #backend: StorageBackend
  readonly #options: RoundWatchOptions
  /** Rounds that were seen to be gone or dead: they never come back. */
  readonly #over = new Set<string>()
  /** Rounds that were seen open while they were waited for, and those that were spoken of. */
  readonly #seen = new Set<string>()
  readonly #told = new Set<string>()
  #poll: Promise<void> | undefined

  constructor(backend: StorageBackend, options: RoundWatchOptions) {
    this.#backend = backend
    this.#options = options
  }

  /**
   * The rounds that are open and condemn one of the names. To be called after the pin on them has
   * been answered: rounds that are opened later see the pin.
   */
  async contesting(
    names: readonly string[],
    now: number,
    options: CallOptions,
  ): Promise<readonly OpenRound[]> {
    const { others } = this.#options
    const open: OpenRound[] = []
    for await (const round of listControls(this.#backend, 'round', options)) {
      if (others.isDead(round, now)) continue
      const read = await readControl(this.#backend, round, options)
      if (read && !(await others.isOver(round, read.author, now))) open.push({ round, ...read })
    }
    return waitSet(
      open,
      (candidate) => names.some((name) => candidate.names.matches(name)),
      () => false,
    )
  }

  /** Resolves once no round of these can delete the name any more. */
  async waitFor(rounds: readonly OpenRound[], name: string, options: CallOptions): Promise<void> {
    const waiting = rounds.filter(({ names }) => names.matches(name))
    const isOpen = ({ round }: OpenRound): boolean => !this.#over.has(round.key)
    while (!mayLook(waiting, isOpen, () => false)) {
      // Many names wait for one round: they share one look at it.
      this.#poll ??= this.#look(waiting, options).finally(() => {
        this.#poll = undefined
      })
      await this.#poll
    }
  }

  async #look(waiting: readonly OpenRound[], options: CallOptions): Promise<void> {
    const { others, clock } = this.#options
    const present = new Map<string, ControlObject>()
    for await (const round of listControls(this.#backend, 'round', options)) {
      present.set(round.key, round)
    }
    const now = present.size > 0 ? await clock.read(options) : 0
    let isAnyOpen = false
    for (const { round, author } of waiting) {
      const listed = present.get(round.key)
      if (!listed || (await others.isOver(listed, author, now))) {
        this.#over.add(round.key)
        continue
      }
      isAnyOpen = true
      // At the second look it has been waited for: most rounds are over by then.
      if (this.#seen.has(round.key)) this.#tell(listed, author)
      this.#seen.add(round.key)
    }
    if (isAnyOpen) await this.#options.delay(this.#options.pollMs, options.signal)
  }

  #tell(round: ControlObject, author: Author): void {
    if (this.#told.has(round.key)) return
    this.#told.add(round.key)
    const { others, onProgress } = this.#options
    const participant = describeParticipant(round, author, others)
    const { until } = participant
    const fate = others.hasEnded(round) ? ': its process has ended, but not what it sent' : ''
    const message =
      `waiting ${until === undefined ? 'until it ends' : `until ${until} at most`} for the ` +
      `${nameParticipant(participant)}, which may delete what this needs${fate}; where it has ended ` +
      `for certain: s3lo clean ${formatStore(this.#backend)} --end ${round.id} --confirm`
    onProgress?.({ type: 'notice', code: 'waiting-for-clean', message })
  }
}
