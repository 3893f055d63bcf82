import * as steps from '../../src/gc/steps.ts'
import type { Emit, Model } from './explore.ts'

/**
 * The collection protocol as a model: every participant takes one storage request at a time, in any
 * order. A pause is not being chosen; a crash is never being chosen again. Pins and rounds expire
 * at any moment, each by itself. A publication or a delete may go unanswered and take effect at any
 * later time before its deadline, more than once, even after its sender has ended.
 *
 * Names (blobs) are bits. The decisions are those of `src/gc/steps.ts`.
 */
export type WriterSpec =
  | { readonly kind: 'push'; readonly tag: number; readonly names: number }
  | { readonly kind: 'copy'; readonly from: number; readonly tag: number }
  | { readonly kind: 'delete'; readonly tags: readonly number[] }

export interface Instance {
  readonly blobs: number
  /** What each tag names at the start; 0 is no tag. */
  readonly tags: readonly number[]
  readonly writers: readonly WriterSpec[]
  readonly collectors: number
  /** Collectors may take anything for garbage: a mark of any age. */
  readonly anyCandidates?: boolean
  /** What writers do with a second pin. */
  readonly second?: 'none' | 'retry' | 'renew' | 'batch'
  /** The store enforces no deadlines: nothing ever expires. */
  readonly strict?: boolean
  /** Processes are killed at any moment, and everybody knows; the store runs in them. */
  readonly mortal?: boolean
}

/** The protocol, and what a mutation takes out of it. */
export interface Protocol {
  readonly steps: Pick<typeof steps, keyof typeof steps>
  readonly marginForPins: boolean
  readonly marginForRounds: boolean
  readonly publishDeadline: boolean
  readonly deleteDeadline: boolean
  /** A pin that was overtaken by its expiry is not made young again. */
  readonly noRevival: boolean
  readonly listsRounds: boolean
  readonly pinsBeforeListing: boolean
  readonly waits: boolean
  readonly looksAfterWaiting: boolean
  readonly keepsPin: boolean
  readonly pinsUploads: boolean
  readonly pinsReused: boolean
  readonly confirmsSource: boolean
  /** What a killed process has sent takes no effect any more. */
  readonly requestsEndWithProcess: boolean
  /** What a collector does once it has marked. */
  readonly collector: readonly ('round' | 'pins' | 'tags')[]
}

export const PROTOCOL: Protocol = {
  steps,
  marginForPins: true,
  marginForRounds: true,
  publishDeadline: true,
  deleteDeadline: true,
  noRevival: true,
  listsRounds: true,
  pinsBeforeListing: true,
  waits: true,
  looksAfterWaiting: true,
  keepsPin: true,
  pinsUploads: true,
  pinsReused: true,
  confirmsSource: true,
  requestsEndWithProcess: true,
  collector: ['round', 'pins', 'tags'],
}

/** The age of a pin or round: not there, young, expired by some of the store's clocks, by all. */
const ABSENT = 0
const YOUNG = 1
const EXPIRED = 2
const DEAD = 3

/** When one of each age expires, by a clock that is ahead and says 0 and one that is behind. */
const EXPIRES = [0, 5, -2, -10]
const CLOCKS = [0, -3]
const MARGIN = 5

/** Fields of a writer, then of its two pins. */
const W = { pc: 0, checked: 1, waits: 2, cover: 3, landing: 4, names: 5, pin: 6, pinNames: 8 }
const WRITER_SIZE = 10
const C = {
  pc: 0,
  names: 1,
  pinned: 2,
  live: 3,
  todo: 4,
  round: 5,
  landing: 6,
  unsure: 7,
  ended: 8,
}
const COLLECTOR_SIZE = 9
/** Of a collector that was killed. */
const KILLED = 255

/** Where a writer is. */
const AT = { source: 0, first: 1, second: 2, look: 3, publish: 4, release: 5, done: 6 }

export class ProtocolModel implements Model {
  readonly size: number
  readonly start: Uint8Array
  readonly #instance: Instance
  readonly #protocol: Protocol
  readonly #writers: readonly number[]
  readonly #collectors: readonly number[]
  readonly #next: Uint8Array

  constructor(instance: Instance, protocol: Protocol = PROTOCOL) {
    this.#instance = instance
    this.#protocol = protocol
    const base = 1 + instance.tags.length
    this.#writers = instance.writers.map((_, i) => base + i * WRITER_SIZE)
    const end = base + instance.writers.length * WRITER_SIZE
    this.#collectors = Array.from(
      { length: instance.collectors },
      (_, i) => end + i * COLLECTOR_SIZE,
    )
    this.size = Math.ceil((end + instance.collectors * COLLECTOR_SIZE) / 4) * 4
    this.#next = new Uint8Array(this.size)
    this.start = new Uint8Array(this.size)
    this.start.set([instance.blobs, ...instance.tags])
    for (const [i, spec] of instance.writers.entries()) {
      this.start[this.#writers[i]! + W.pc] = spec.kind === 'push' ? AT.first : AT.source
    }
  }

  /** S1: a published tag has all its blobs, in every state. */
  broken(s: Uint8Array): string | undefined {
    for (let tag = 0; tag < this.#instance.tags.length; tag++) {
      if ((s[1 + tag]! & ~s[0]!) !== 0) return `tag t${tag} has lost a blob`
    }
    return undefined
  }

  next(s: Uint8Array, visit: Emit): void {
    const emit: Emit = (actor, step, t) => {
      this.#reduce(t)
      visit(actor, step, t)
    }
    for (const [i, spec] of this.#instance.writers.entries()) {
      const at = this.#writers[i]!
      if (spec.kind === 'delete') this.#stepDeleter(s, at, spec.tags, `deleter ${i}`, emit)
      else this.#stepWriter(s, at, spec, `${spec.kind} ${i}`, emit)
    }
    for (const [i, at] of this.#collectors.entries())
      this.#stepCollector(s, at, `collector ${i}`, emit)
  }

  #stepDeleter(s: Uint8Array, at: number, tags: readonly number[], who: string, emit: Emit): void {
    const tag = tags[s[at + W.pc]!]
    if (tag === undefined) return
    const t = this.#copy(s)
    t[1 + tag] = 0
    t[at + W.pc]!++
    emit(who, `deletes t${tag}`, t)
  }

  #stepWriter(
    s: Uint8Array,
    at: number,
    spec: Exclude<WriterSpec, { kind: 'delete' }>,
    who: string,
    emit: Emit,
  ): void {
    for (const slot of [0, 1]) this.#age(s, at + W.pin + slot, `the pin of ${who}`, emit)
    if (s[at + W.landing]! !== 0 && this.#accepts(s, at, true)) {
      emit(who, 'its unanswered publication lands', this.#with(s, 1 + spec.tag, s[at + W.landing]!))
    }
    this.#killWriter(s, at, who, emit)
    const isPinFirst = this.#protocol.pinsBeforeListing
    switch (s[at + W.pc]) {
      case AT.source:
        if (spec.kind === 'copy') this.#readSource(s, at, spec.from, who, emit)
        return
      case AT.first:
        if (isPinFirst) this.#writePin(s, at, spec, who, emit)
        else this.#listRounds(s, at, who, emit)
        return
      case AT.second:
        if (isPinFirst) this.#listRounds(s, at, who, emit)
        else this.#writePin(s, at, spec, who, emit)
        return
      case AT.look:
        this.#renew(s, at, who, emit)
        if (spec.kind === 'copy') this.#confirmSource(s, at, spec.from, who, emit)
        else this.#look(s, at, who, emit)
        return
      case AT.publish:
        this.#publish(s, at, spec.tag, who, emit)
        return
      case AT.release:
        this.#release(s, at, who, emit)
        return
    }
  }

  /** Its pins are over at once for everybody, so that it is as if they were gone. */
  #killWriter(s: Uint8Array, at: number, who: string, emit: Emit): void {
    if (this.#instance.mortal !== true || s[at + W.pc] === AT.done) return
    if (!this.#isOverOnceKilled()) return
    const t = this.#with(s, at + W.pc, AT.done)
    for (let field = W.checked; field < WRITER_SIZE; field++) {
      const isSent = field === W.landing && !this.#protocol.requestsEndWithProcess
      if (!isSent) t[at + field] = 0
    }
    emit(who, 'is killed', t)
  }

  #killCollector(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const pc = s[at + C.pc]!
    if (this.#instance.mortal !== true || pc === 0 || pc === KILLED) return
    const t = this.#with(s, at + C.pc, KILLED)
    if (this.#protocol.requestsEndWithProcess) t[at + C.landing] = 0
    for (const field of [C.pinned, C.live, C.todo, C.unsure]) t[at + field] = 0
    t[at + C.ended] = this.#isOverOnceKilled() ? 1 : 0
    emit(who, 'is killed', t)
  }

  #isOverOnceKilled(): boolean {
    return this.#protocol.steps.isOverAfterEnd(0, 0, -1)
  }

  #readSource(s: Uint8Array, at: number, from: number, who: string, emit: Emit): void {
    const t = this.#copy(s)
    t[at + W.names] = s[1 + from]!
    t[at + W.pc] = s[1 + from] === 0 ? AT.done : AT.first
    emit(who, `reads t${from}`, t)
  }

  #writePin(s: Uint8Array, at: number, spec: WriterSpec, who: string, emit: Emit): void {
    const t = this.#copy(s)
    if (spec.kind === 'push') t[at + W.names] = spec.names
    const slot = this.#isBatched() && t[at + W.pin] !== ABSENT ? 1 : t[at + W.cover]!
    t[at + W.pin + slot] = YOUNG
    t[at + W.pinNames + slot] = this.#namesToPin(t, at, slot)
    t[at + W.pc] = this.#protocol.pinsBeforeListing ? AT.second : AT.look
    emit(who, 'writes a pin', t)
  }

  #namesToPin(s: Uint8Array, at: number, slot: number): number {
    const { pinsReused, pinsUploads } = this.#protocol
    let names = s[at + W.names]!
    // The first name is the first batch.
    if (this.#isBatched()) names = slot === 0 ? names & -names : names & (names - 1)
    return names & (pinsReused ? 255 : ~s[0]!) & (pinsUploads ? 255 : s[0]!)
  }

  #listRounds(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const t = this.#copy(s)
    const wanted = s[at + W.names]! || this.#pushed(at)
    if (this.#protocol.listsRounds) {
      const contested = this.#protocol.steps.waitSet(
        this.#collectors.filter((c) => s[c + C.round] !== ABSENT),
        (c) => (s[c + C.names]! & wanted) !== 0,
        (c) => this.#isRoundOver(s, c),
      )
      for (const c of contested) t[at + W.waits]! |= 1 << this.#collectors.indexOf(c)
    }
    const isMore = this.#isBatched() && s[at + W.pin + 1] === ABSENT
    t[at + W.pc] = isMore ? AT.first : this.#protocol.pinsBeforeListing ? AT.look : AT.second
    emit(who, 'lists the rounds', t)
  }

  /** Each name by itself, in any order; one that is not there is uploaded. */
  #look(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const names = s[at + W.names]!
    for (let name = 1; name <= names; name <<= 1) {
      if ((names & name) === 0 || (s[at + W.checked]! & name) !== 0) continue
      if (this.#protocol.looksAfterWaiting && !this.#mayLook(s, at, name)) continue
      const t = this.#with(s, at + W.checked, s[at + W.checked]! | name)
      if ((s[0]! & name) !== 0) emit(who, `finds blob ${name}`, t)
      else {
        t[0]! |= name
        emit(who, `uploads blob ${name}`, t)
      }
    }
    const isDone = s[at + W.checked] === names
    if (isDone && (this.#protocol.looksAfterWaiting || this.#mayLook(s, at, names))) {
      this.#toPublish(s, at, who, emit)
    }
  }

  #mayLook(s: Uint8Array, at: number, names: number): boolean {
    if (!this.#protocol.waits) return true
    return this.#protocol.steps.mayLook(
      this.#collectors.filter(
        (c, i) => (s[at + W.waits]! & (1 << i)) !== 0 && (s[c + C.names]! & names) !== 0,
      ),
      (c) => s[c + C.round] !== ABSENT,
      (c) => this.#isRoundOver(s, c),
    )
  }

  #isRoundOver(s: Uint8Array, c: number): boolean {
    return s[c + C.ended] === 1 || this.#isDead(s[c + C.round]!, this.#protocol.marginForRounds)
  }

  #confirmSource(s: Uint8Array, at: number, from: number, who: string, emit: Emit): void {
    if (!this.#mayLook(s, at, s[at + W.names]!)) return
    if (s[1 + from] === s[at + W.names] || !this.#protocol.confirmsSource) {
      this.#toPublish(s, at, who, emit)
    } else emit(who, `finds t${from} changed`, this.#with(s, at + W.pc, AT.release))
  }

  #toPublish(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const t = this.#with(s, at + W.pc, AT.publish)
    if (!this.#protocol.keepsPin) t[at + W.pin] = ABSENT
    emit(who, 'has seen everything', t)
  }

  #publish(s: Uint8Array, at: number, tag: number, who: string, emit: Emit): void {
    if (this.#accepts(s, at, false)) this.#refused(s, at, who, emit)
    if (!this.#accepts(s, at, true)) return
    const t = this.#with(s, 1 + tag, s[at + W.names]!)
    t[at + W.pc] = AT.release
    emit(who, `publishes t${tag}`, t)
    const lost = this.#with(s, at + W.landing, s[at + W.names]!)
    lost[at + W.pc] = AT.release
    emit(who, `publishes t${tag} and gets no answer`, lost)
  }

  #refused(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const isAgain = this.#instance.second === 'retry' && s[at + W.cover] === 0
    const t = this.#with(s, at + W.pc, isAgain ? AT.first : AT.release)
    if (isAgain) this.#startCover(t, at)
    emit(who, 'is refused as too late', t)
  }

  #startCover(t: Uint8Array, at: number): void {
    t[at + W.cover] = 1
    t[at + W.waits] = 0
    if (!this.#protocol.steps.isStillChecked(0, 1)) t[at + W.checked] = 0
  }

  /** Whether the store may accept (or refuse) a publication, by its deadline and one of its clocks. */
  #accepts(s: Uint8Array, at: number, answer: boolean): boolean {
    if (!this.#protocol.publishDeadline || !this.#protocol.keepsPin) return answer
    const slots = this.#isBatched() ? [0, 1] : [s[at + W.cover]!]
    const pins = slots.map((slot) => ({ expires: EXPIRES[s[at + W.pin + slot]!] }))
    const deadline = this.#protocol.steps.deadlineOf(pins)
    return CLOCKS.some((now) => (deadline === undefined || now <= deadline) === answer)
  }

  #renew(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const pin = s[at + W.pin]!
    if (!this.#protocol.noRevival && pin > YOUNG) {
      emit(who, 'renews its pin in place', this.#with(s, at + W.pin, YOUNG))
    }
    if (this.#instance.second !== 'renew' || s[at + W.cover] !== 0) return
    for (const now of CLOCKS) {
      const t = this.#with(s, at + W.pin + 1, YOUNG)
      t[at + W.pinNames + 1] = s[at + W.names]!
      if (this.#protocol.steps.continuesCover({ expires: EXPIRES[pin] }, now)) t[at + W.cover] = 1
      else {
        this.#startCover(t, at)
        t[at + W.pc] = AT.second
      }
      emit(who, t[at + W.pc] === AT.second ? 'renews its pin too late' : 'renews its pin', t)
    }
  }

  #release(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const t = this.#with(s, at + W.pc, AT.done)
    const answer = s[at + W.landing] === 0 ? 'done' : 'unknown'
    if (this.#protocol.steps.mayRelease([answer])) {
      for (const field of [W.pin, W.pin + 1, W.pinNames, W.pinNames + 1]) t[at + field] = 0
      t[at + W.names] = 0
    }
    for (const field of [W.checked, W.waits]) t[at + field] = 0
    emit(who, 'releases its pins', t)
  }

  #stepCollector(s: Uint8Array, at: number, who: string, emit: Emit): void {
    this.#age(s, at + C.round, `the round of ${who}`, emit)
    this.#landDeletes(s, at, who, emit)
    this.#killCollector(s, at, who, emit)
    const pc = s[at + C.pc]!
    if (pc === KILLED) return
    if (pc === 0) this.#mark(s, at, who, emit)
    else if (pc <= this.#protocol.collector.length * 2) this.#prepare(s, at, who, emit)
    else if (s[at + C.todo] !== 0) this.#delete(s, at, who, emit)
    else if (pc === this.#protocol.collector.length * 2 + 1) this.#close(s, at, who, emit)
  }

  #landDeletes(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const landing = s[at + C.landing]!
    if (landing === 0 || !this.#permits(s, at, true)) return
    for (let name = 1; name <= landing; name <<= 1) {
      if ((landing & name & s[0]!) === 0) continue
      emit(who, `its unanswered delete of blob ${name} lands`, this.#with(s, 0, s[0]! & ~name))
    }
  }

  #mark(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const garbage = s[0]! & ~this.#referenced(s)
    const most = this.#instance.anyCandidates ? s[0]! : garbage
    for (let names = most; names > 0; names = (names - 1) & most) {
      const t = this.#with(s, at + C.names, names)
      t[at + C.pc] = 1
      emit(who, `takes ${names} for garbage`, t)
      if (!this.#instance.anyCandidates) return
    }
  }

  /** Odd: the request, or the listing. Even: the objects that were listed, one by one in any order. */
  #prepare(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const pc = s[at + C.pc]!
    const task = this.#protocol.collector[(pc - 1) >> 1]!
    if (pc % 2 === 1) {
      const t = this.#with(s, at + C.pc, pc + (task === 'round' ? 2 : 1))
      if (task === 'round') t[at + C.round] = YOUNG
      else
        t[at + C.todo] = task === 'pins' ? this.#listPins(s, s[at + C.names]!) : this.#listTags(s)
      this.#skipEmpty(t, at)
      emit(who, task === 'round' ? 'opens its round' : `lists the ${task}`, t)
      return
    }
    const todo = s[at + C.todo]!
    for (let i = 0; todo >> i > 0; i++) {
      if ((todo & (1 << i)) === 0) continue
      const t = this.#with(s, at + C.todo, todo & ~(1 << i))
      // Only what it has condemned matters to it.
      if (task === 'tags') t[at + C.live]! |= s[1 + i]! & s[at + C.names]!
      else t[at + C.pinned]! |= this.#pinNames(s, i) & s[at + C.names]!
      this.#skipEmpty(t, at)
      emit(who, `reads ${task === 'tags' ? 'tag' : 'pin'} ${i}`, t)
    }
  }

  /** Continues when everything that was listed has been read, and works out what to delete at the end. */
  #skipEmpty(t: Uint8Array, at: number): void {
    const last = this.#protocol.collector.length * 2
    if (t[at + C.pc]! % 2 === 0 && t[at + C.todo] === 0) t[at + C.pc]!++
    if (t[at + C.pc]! <= last) return
    const { mayDelete } = this.#protocol.steps
    for (let name = 1; name <= t[at + C.names]!; name <<= 1) {
      const isPinned = (t[at + C.pinned]! & name) !== 0
      const isReferenced = (t[at + C.live]! & name) !== 0
      const isCandidate = (t[at + C.names]! & name) !== 0
      if (isCandidate && mayDelete({ isPinned, isReferenced })) t[at + C.todo]! |= name
    }
    t[at + C.pinned] = 0
    t[at + C.live] = 0
  }

  /** Pins on other names are left out: reading them changes nothing. */
  #listPins(s: Uint8Array, names: number): number {
    let found = 0
    for (const [i, at] of this.#writers.entries()) {
      for (const slot of [0, 1]) {
        const pin = s[at + W.pin + slot]!
        if (this.#instance.writers[i]!.kind === 'delete' || pin === ABSENT) continue
        if ((s[at + W.pinNames + slot]! & names) === 0) continue
        if (!this.#isDead(pin, this.#protocol.marginForPins)) found |= 1 << (i * 2 + slot)
      }
    }
    return found
  }

  #pinNames(s: Uint8Array, i: number): number {
    const at = this.#writers[i >> 1]!
    return s[at + W.pin + (i & 1)] === ABSENT ? 0 : s[at + W.pinNames + (i & 1)]!
  }

  #listTags(s: Uint8Array): number {
    let found = 0
    for (let tag = 0; tag < this.#instance.tags.length; tag++)
      if (s[1 + tag] !== 0) found |= 1 << tag
    return found
  }

  #delete(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const todo = s[at + C.todo]!
    const name = todo & -todo
    if (this.#permits(s, at, false)) {
      emit(who, `is refused to delete blob ${name}`, this.#with(s, at + C.todo, todo & ~name))
    }
    if (!this.#permits(s, at, true)) return
    const t = this.#with(s, at + C.todo, todo & ~name)
    t[0]! &= ~name
    emit(who, `deletes blob ${name}`, t)
    const lost = this.#with(s, at + C.todo, todo & ~name)
    lost[at + C.landing]! |= name
    lost[at + C.unsure] = 1
    emit(who, `deletes blob ${name} and gets no answer`, lost)
  }

  #close(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const t = this.#with(s, at + C.pc, s[at + C.pc]! + 1)
    const answer = s[at + C.unsure] === 0 ? 'done' : 'unknown'
    if (this.#protocol.steps.mayRelease([answer])) t[at + C.round] = ABSENT
    if (t[at + C.round] === ABSENT) t[at + C.names] = 0
    emit(who, 'ends its round', t)
  }

  /** Whether the store may accept (or refuse) a delete, by its deadline and one of its clocks. */
  #permits(s: Uint8Array, at: number, answer: boolean): boolean {
    if (!this.#protocol.deleteDeadline || s[at + C.round] === ABSENT) return answer
    const expires = EXPIRES[s[at + C.round]!]!
    return CLOCKS.some((now) => now <= expires === answer)
  }

  #age(s: Uint8Array, at: number, what: string, emit: Emit): void {
    const age = s[at]!
    if (this.#instance.strict || age === ABSENT || age === DEAD) return
    const t = this.#with(s, at, age === YOUNG ? EXPIRED : DEAD)
    emit(what, age === YOUNG ? 'expires' : 'is dead', t)
  }

  /**
   * Makes one state of those that differ only in what can never matter again: what depends on the
   * dead, waiting for what is over, and which of two collectors is which.
   */
  #reduce(t: Uint8Array): void {
    for (const [i, at] of this.#writers.entries()) {
      if (this.#instance.writers[i]!.kind === 'delete' || t[at + W.pc] !== AT.done) continue
      if (t[at + W.landing] !== 0 && this.#accepts(t, at, true)) continue
      t[at + W.landing] = t[at + W.names] = t[at + W.cover] = 0
      for (const slot of [0, 1]) {
        if (t[at + W.pin + slot] !== DEAD) continue
        t[at + W.pin + slot] = t[at + W.pinNames + slot] = 0
      }
    }
    for (const [i, at] of this.#collectors.entries()) {
      const round = t[at + C.round]!
      if (round === DEAD && this.#protocol.deleteDeadline) t[at + C.landing] = 0
      if (round !== DEAD && round !== ABSENT) continue
      for (const writer of this.#writers) t[writer + W.waits]! &= ~(1 << i)
    }
    const [first, second] = this.#collectors
    if (first !== undefined && second !== undefined) this.#order(t, first, second)
  }

  #order(t: Uint8Array, first: number, second: number): void {
    let i = 0
    while (i < COLLECTOR_SIZE && t[first + i] === t[second + i]) i++
    if (i === COLLECTOR_SIZE || t[first + i]! < t[second + i]!) return
    for (; i < COLLECTOR_SIZE; i++) {
      const value = t[first + i]!
      t[first + i] = t[second + i]!
      t[second + i] = value
    }
    for (const at of this.#writers) {
      const waits = t[at + W.waits]!
      t[at + W.waits] = ((waits & 1) << 1) | (waits >> 1)
    }
  }

  #isDead(age: number, hasMargin: boolean): boolean {
    return this.#protocol.steps.isDead({ expires: EXPIRES[age] }, 0, hasMargin ? MARGIN : 0)
  }

  #isBatched(): boolean {
    return this.#instance.second === 'batch'
  }

  #pushed(at: number): number {
    const spec = this.#instance.writers[this.#writers.indexOf(at)]!
    return spec.kind === 'push' ? spec.names : 0
  }

  #referenced(s: Uint8Array): number {
    let names = 0
    for (let tag = 0; tag < this.#instance.tags.length; tag++) names |= s[1 + tag]!
    return names
  }

  #copy(s: Uint8Array): Uint8Array {
    this.#next.set(s)
    return this.#next
  }

  #with(s: Uint8Array, field: number, value: number): Uint8Array {
    this.#next.set(s)
    this.#next[field] = value
    return this.#next
  }
}
