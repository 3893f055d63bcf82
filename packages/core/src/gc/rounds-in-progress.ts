import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { type ControlObject, listControls, readNames } from './control-object.ts'
import type { NameSet } from './name-set.ts'
import { type DeathRule, type Delay, isDeadAt } from './participant.ts'
import { mayLook, waitSet } from './steps.ts'
import type { StoreClock } from './store-clock.ts'

/** A round that was open when a pin had been written, and what it condemns. */
export interface OpenRound {
  readonly round: ControlObject
  readonly names: NameSet
}

/** What a {@link RoundWatch} works with. */
export interface RoundWatchOptions {
  readonly clock: StoreClock
  readonly rule: DeathRule
  readonly delay: Delay
  readonly pollMs: number
}

/** What a writer knows of the collectors' rounds. */
export class RoundWatch {
  readonly #backend: StorageBackend
  readonly #options: RoundWatchOptions
  /** Rounds that were seen to be gone or dead: they never come back. */
  readonly #over = new Set<string>()
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
    const open: OpenRound[] = []
    for await (const round of listControls(this.#backend, 'round', options)) {
      if (isDeadAt(round, now, this.#options.rule)) continue
      const condemned = await readNames(this.#backend, round, options)
      if (condemned) open.push({ round, names: condemned })
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
    const present = new Map<string, ControlObject>()
    for await (const round of listControls(this.#backend, 'round', options)) {
      present.set(round.key, round)
    }
    const now = present.size > 0 ? await this.#options.clock.read(options) : 0
    let isAnyOpen = false
    for (const { round } of waiting) {
      const listed = present.get(round.key)
      if (listed && !isDeadAt(listed, now, this.#options.rule)) isAnyOpen = true
      else this.#over.add(round.key)
    }
    if (isAnyOpen) await this.#options.delay(this.#options.pollMs, options.signal)
  }
}
