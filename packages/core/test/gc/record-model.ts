import * as steps from '../../src/gc/steps.ts'
import type { Emit, Model } from './explore.ts'

/**
 * Digest records as a model, beside that of content: images are known by numbers, each with the blobs
 * that it needs. A tag names an image, a record keeps one. Writers and collectors take one storage
 * request at a time, in any order; see {@link ProtocolModel} for what else may happen.
 *
 * Names are bits: image `i` is `1 << i`, and the blobs begin at {@link BLOB}.
 */
export type RecordWriter =
  /** Publishes an image under a tag, whose own content is safe; without `to`, deletes the tag. */
  | { readonly kind: 'move'; readonly tag: number; readonly to?: number }
  /** Publishes an image under a tag that is not there, from its record. */
  | { readonly kind: 'restore'; readonly image: number; readonly tag: number }
  /** Deletes the tag and, in a round of its own, the record of an image at any age. */
  | { readonly kind: 'purge'; readonly image: number; readonly tag: number }
  /** A client that was told that a blob is there, and may name it while its link lives. */
  | { readonly kind: 'link'; readonly blob: number }
  /** Knows no pins and no records; without `to`, deletes the tag. */
  | { readonly kind: 'go'; readonly tag: number; readonly to?: number }

export interface RecordInstance {
  readonly blobs: number
  /** The blobs that each image needs. */
  readonly images: readonly number[]
  /** The image of each tag at the start. */
  readonly tags: readonly (number | undefined)[]
  /** The images that have a record at the start, each old or not there. */
  readonly records: readonly number[]
  readonly writers: readonly RecordWriter[]
  readonly collectors: number
}

/** The protocol, and what a mutation takes out of it. */
export interface RecordProtocol {
  readonly steps: Pick<typeof steps, keyof typeof steps>
  /** A mover pins what it displaces, and where that has no record all that it needs. */
  readonly pinsDisplaced: boolean
  readonly pinsClosure: boolean
  /** A mover looks at the tag again, a restorer at the record, once no round can delete any more. */
  readonly looksAgain: boolean
  /** A record is written anew where there is one. */
  readonly renews: boolean
  /** Records are written under the deadline of the pin. */
  readonly recordDeadline: boolean
  /** The tag is written on the condition that it is what was renewed. */
  readonly isConditional: boolean
  /** A link is written before the blob is looked for. */
  readonly linksFirst: boolean
  /** The collector takes every record that it has not condemned for a root. */
  readonly recordsAreRoots: boolean
  /** A record's age is the one of the last listing, not of the mark. */
  readonly looksAtAge: boolean
  readonly collector: readonly ('round' | 'pins' | 'tags' | 'records')[]
  /** A purger opens a round, waits for the pins on the image, and keeps what a tag names. */
  readonly purgesInRound: boolean
  readonly purgeWaits: boolean
  readonly purgeLooksAtTags: boolean
}

export const RECORD_PROTOCOL: RecordProtocol = {
  steps,
  pinsDisplaced: true,
  pinsClosure: true,
  looksAgain: true,
  renews: true,
  recordDeadline: true,
  isConditional: true,
  linksFirst: true,
  recordsAreRoots: true,
  looksAtAge: true,
  collector: ['round', 'pins', 'tags', 'records'],
  purgesInRound: true,
  purgeWaits: true,
  purgeLooksAtTags: true,
}

export const BLOB = 8

/** Ages of pins and rounds as in `model.ts`; of records: not there, young, old. */
const ABSENT = 0
const YOUNG = 1
const EXPIRED = 2
const OLD = 2
const DEAD = 3

/** A pin lives so long, and what is dead has been so for the margin. */
const PIN_LIFE = 15
const LEAST_KEPT = 20
const MARGIN = 5
const EXPIRES = [0, 5, -2, -10]

const W = { pc: 0, seen: 1, pin: 2, names: 3, waits: 4 }
const WRITER_SIZE = 5
const C = { pc: 0, names: 1, pinned: 2, live: 3, age: 4, todo: 5, round: 6 }
const COLLECTOR_SIZE = 7

const AT = {
  look: 0,
  pin: 1,
  rounds: 2,
  record: 3,
  closure: 4,
  again: 5,
  renew: 6,
  write: 7,
  release: 8,
  done: 9,
}

/** A purger. Its round is where others have their pin, `seen` has what is to be read, `waits` what was found. */
const P = {
  tag: 0,
  round: 1,
  listPins: 2,
  pins: 3,
  listTags: 4,
  tags: 5,
  delete: 6,
  kept: 7,
  done: 8,
}

const FAULTS = [
  '',
  'a record is deleted that is young',
  'a record is deleted whose image a tag names',
  'a tag leaves an image that has no young record',
]

export class RecordModel implements Model {
  readonly size: number
  readonly start: Uint8Array
  readonly #instance: RecordInstance
  readonly #protocol: RecordProtocol
  readonly #tags: number
  readonly #records: number
  readonly #writers: readonly number[]
  readonly #collectors: readonly number[]
  /** Collectors, and what else opens rounds: where their names and the age of their round are. */
  readonly #rounds: readonly { readonly names: number; readonly round: number }[]

  constructor(instance: RecordInstance, protocol: RecordProtocol = RECORD_PROTOCOL) {
    const { images, tags, records, writers } = instance
    this.#instance = instance
    this.#protocol = protocol
    this.#tags = 3
    // A record, and the writers whose pins were there when it was written.
    this.#records = this.#tags + tags.length
    const first = this.#records + images.length * 2
    this.#writers = writers.map((_, i) => first + i * WRITER_SIZE)
    const end = first + writers.length * WRITER_SIZE
    this.#collectors = Array.from(
      { length: instance.collectors },
      (_, i) => end + i * COLLECTOR_SIZE,
    )
    this.#rounds = [
      ...this.#collectors.map((at) => ({ names: at + C.names, round: at + C.round })),
      ...this.#writers.flatMap((at, i) =>
        writers[i]!.kind === 'purge' ? { names: at + W.names, round: at + W.pin } : [],
      ),
    ]
    this.size = Math.ceil((end + instance.collectors * COLLECTOR_SIZE) / 4) * 4
    this.start = new Uint8Array(this.size)
    this.start[0] = instance.blobs
    for (const [i, image] of tags.entries()) {
      if (image === undefined) continue
      this.start[this.#tags + i] = image + 1
      // Published by a writer that knows no records.
      if (!records.includes(image)) this.start[2]! |= 1 << i
    }
    for (const image of records) this.start[this.#records + image * 2] = OLD
  }

  broken(s: Uint8Array): string | undefined {
    const fault = FAULTS[s[1]!]
    if (fault) return fault
    for (let tag = 0; tag < this.#instance.tags.length; tag++) {
      const image = s[this.#tags + tag]! - 1
      if (image < 0) continue
      if (this.#lacks(s, image)) return `tag t${tag} has lost a blob`
      const isOurs = (s[2]! & (1 << tag)) === 0
      if (isOurs && this.#age(s, image) === ABSENT) return `tag t${tag} has no record`
    }
    for (const [i, spec] of this.#instance.writers.entries()) {
      const at = this.#writers[i]!
      const isTold = spec.kind === 'link' && s[at + W.pc] === AT.done && s[at + W.pin] === YOUNG
      if (isTold && (s[0]! & spec.blob) === 0) return `a linked blob is gone`
      const isPurged = spec.kind === 'purge' && s[at + W.pc] === P.done
      if (isPurged && this.#age(s, spec.image) !== ABSENT) {
        return `the record of image ${spec.image} is back that was purged`
      }
    }
    for (let image = 0; image < this.#instance.images.length; image++) {
      if (this.#age(s, image) !== ABSENT && this.#lacks(s, image)) {
        return `the record of image ${image} has lost a blob`
      }
    }
    return undefined
  }

  next(s: Uint8Array, emit: Emit): void {
    this.#growOld(s, emit)
    for (const [i, spec] of this.#instance.writers.entries()) {
      const at = this.#writers[i]!
      const who = `${spec.kind} ${i}`
      const control = spec.kind === 'purge' ? 'round' : 'pin'
      this.#ageControl(s, at + W.pin, `the ${control} of ${who}`, emit)
      if (spec.kind === 'go') this.#stepGo(s, at, spec, who, emit)
      else if (spec.kind === 'link') this.#stepLink(s, at, spec.blob, who, emit)
      else if (spec.kind === 'purge') this.#stepPurge(s, at, spec, who, emit)
      else this.#stepWriter(s, at, spec, who, emit)
    }
    for (const [i, at] of this.#collectors.entries()) {
      this.#ageControl(s, at + C.round, `the round of collector ${i}`, emit)
      this.#stepCollector(s, at, `collector ${i}`, emit)
    }
  }

  /** No record is old while a pin lives that was there when it was written: that is what the least age is for. */
  #growOld(s: Uint8Array, emit: Emit): void {
    const outlives = this.#protocol.steps.leastAge(0, LEAST_KEPT, MARGIN) > PIN_LIFE + MARGIN
    for (let image = 0; image < this.#instance.images.length; image++) {
      if (this.#age(s, image) !== YOUNG) continue
      const pins = s[this.#records + image * 2 + 1]!
      const isHeld = this.#writers.some((at, i) => {
        const pin = s[at + W.pin]!
        return (pins & (1 << i)) !== 0 && pin !== ABSENT && pin !== DEAD
      })
      if (outlives && isHeld) continue
      emit('time', `makes the record of image ${image} old`, this.#withAge(s, image, OLD))
    }
  }

  #stepGo(
    s: Uint8Array,
    at: number,
    { tag, to }: Extract<RecordWriter, { kind: 'go' }>,
    who: string,
    emit: Emit,
  ): void {
    if (s[at + W.pc] !== 0) return
    const t = Uint8Array.from(s)
    t[at + W.pc] = AT.done
    t[this.#tags + tag] = to === undefined ? 0 : to + 1
    t[2]! |= 1 << tag
    emit(who, to === undefined ? `deletes t${tag}` : `writes image ${to} to t${tag}`, t)
  }

  #stepLink(s: Uint8Array, at: number, blob: number, who: string, emit: Emit): void {
    const pc = s[at + W.pc]!
    const [write, rounds, look] = this.#protocol.linksFirst ? [0, 1, 2] : [2, 1, 0]
    const t = this.#with(s, at + W.pc, pc === 2 ? AT.done : pc + 1)
    if (pc === write) {
      t[at + W.pin] = YOUNG
      t[at + W.names] = blob
      emit(who, 'writes a link', t)
    } else if (pc === rounds) {
      this.#contest(t, at, blob)
      emit(who, 'lists the rounds', t)
    } else if (pc === look && this.#mayLook(s, at)) {
      t[0]! |= blob
      emit(who, (s[0]! & blob) === 0 ? 'uploads the blob' : 'finds the blob', t)
    }
  }

  #stepPurge(
    s: Uint8Array,
    at: number,
    { tag, image }: Extract<RecordWriter, { kind: 'purge' }>,
    who: string,
    emit: Emit,
  ): void {
    const pc = s[at + W.pc]!
    const to = (next: number): Uint8Array => this.#with(s, at + W.pc, next)
    const t = to(pc + 1)
    switch (pc) {
      case P.tag:
        if (s[this.#tags + tag] === image + 1) t[this.#tags + tag] = 0
        emit(who, `deletes t${tag}`, t)
        return
      case P.round:
        t[at + W.names] = 1 << image
        t[at + W.waits] = 0
        if (this.#protocol.purgesInRound) t[at + W.pin] = YOUNG
        emit(who, 'opens its round', t)
        return
      case P.listPins:
        t[at + W.seen] = (1 << this.#writers.length) - 1
        emit(who, 'looks at the pins', t)
        return
      case P.listTags:
        t[at + W.seen] = (1 << this.#instance.tags.length) - 1
        emit(who, 'looks at the tags', t)
        return
      case P.pins:
      case P.tags:
        this.#readForPurge(s, at, image, who, emit)
        return
      case P.delete:
        if (this.#accepts(s, at, false))
          emit(who, 'is refused as too late', this.#endRound(to(P.kept), at))
        if (!this.#accepts(s, at, true)) return
        t[at + W.pc] = P.done
        t[this.#records + image * 2] = ABSENT
        emit(who, `deletes the record of image ${image}`, this.#endRound(t, at))
        return
    }
  }

  /** One by one, in any order; a pin on the image is waited for without a round, a tag of it keeps the record. */
  #readForPurge(s: Uint8Array, at: number, image: number, who: string, emit: Emit): void {
    const isPins = s[at + W.pc] === P.pins
    const todo = s[at + W.seen]!
    for (let i = 0; todo >> i > 0; i++) {
      if ((todo & (1 << i)) === 0) continue
      const t = this.#with(s, at + W.seen, todo & ~(1 << i))
      const isFound = isPins
        ? this.#protocol.purgeWaits && this.#isPinnedBy(s, i, 1 << image)
        : this.#protocol.purgeLooksAtTags && s[this.#tags + i] === image + 1
      if (isFound) t[at + W.waits] = 1
      if (t[at + W.seen] === 0) {
        const next = isPins ? P.listTags : P.delete
        const isKept = t[at + W.waits] === 1
        t[at + W.pc] = isKept ? (isPins ? P.round : P.kept) : next
        if (isKept) this.#endRound(t, at)
      }
      emit(who, `reads ${isPins ? 'pin' : 'tag'} ${i}`, t)
    }
  }

  #endRound(t: Uint8Array, at: number): Uint8Array {
    t[at + W.pin] = t[at + W.names] = t[at + W.waits] = 0
    return t
  }

  #isPinnedBy(s: Uint8Array, i: number, names: number): boolean {
    const writer = this.#writers[i]!
    const pin = s[writer + W.pin]!
    if (this.#instance.writers[i]!.kind === 'purge' || pin === ABSENT) return false
    return !this.#isDead(pin) && (s[writer + W.names]! & names) !== 0
  }

  #stepWriter(
    s: Uint8Array,
    at: number,
    spec: Extract<RecordWriter, { kind: 'move' | 'restore' }>,
    who: string,
    emit: Emit,
  ): void {
    const seen = s[at + W.seen]! - 1
    switch (s[at + W.pc]) {
      case AT.look: {
        const image = this.#find(s, spec)
        const t = this.#with(s, at + W.pc, image < 0 ? AT.done : AT.pin)
        t[at + W.seen] = image + 1
        emit(who, image < 0 ? 'finds nothing' : `finds image ${image}`, t)
        return
      }
      case AT.pin: {
        const t = this.#with(s, at + W.pc, AT.rounds)
        if (this.#protocol.pinsDisplaced || spec.kind === 'restore') {
          t[at + W.pin] = YOUNG
          t[at + W.names] = (1 << seen) | (spec.kind === 'restore' ? this.#blobsOf(seen) : 0)
        }
        emit(who, `pins image ${seen}`, t)
        return
      }
      case AT.rounds: {
        const t = this.#with(s, at + W.pc, this.#mayNeedClosure(s, at, spec) ? AT.record : AT.again)
        this.#contest(t, at, s[at + W.names]!)
        emit(who, 'lists the rounds', t)
        return
      }
      case AT.record: {
        if (!this.#mayLook(s, at)) return
        const isThere = this.#age(s, seen) !== ABSENT
        const t = this.#with(s, at + W.pc, isThere ? AT.again : AT.closure)
        emit(who, isThere ? 'finds the record' : 'finds no record', t)
        return
      }
      case AT.closure: {
        // A pin more, which lives no shorter than the first.
        const t = this.#with(s, at + W.pc, AT.rounds)
        t[at + W.names]! |= this.#blobsOf(seen)
        emit(who, `pins what image ${seen} needs`, t)
        return
      }
      case AT.again: {
        if (!this.#mayLook(s, at)) return
        const isSame = this.#find(s, spec) === seen || !this.#protocol.looksAgain
        emit(who, 'looks again', this.#with(s, at + W.pc, isSame ? AT.renew : AT.release))
        return
      }
      case AT.renew:
        this.#renew(s, at, seen, who, emit)
        return
      case AT.write:
        this.#write(s, at, spec, who, emit)
        return
      case AT.release: {
        const t = this.#with(s, at + W.pc, AT.done)
        t[at + W.pin] = t[at + W.names] = t[at + W.waits] = 0
        emit(who, 'removes its pin', t)
        return
      }
    }
  }

  /** Of a mover that has not looked for the record yet. */
  #mayNeedClosure(s: Uint8Array, at: number, { kind }: RecordWriter): boolean {
    const { pinsDisplaced, pinsClosure } = this.#protocol
    return kind === 'move' && pinsDisplaced && pinsClosure && s[at + W.names]! < BLOB
  }

  #contest(t: Uint8Array, at: number, names: number): void {
    const contested = this.#protocol.steps.waitSet(
      this.#rounds.filter(({ round }) => t[round] !== ABSENT),
      (round) => (t[round.names]! & names) !== 0,
      ({ round }) => this.#isDead(t[round]!),
    )
    for (const round of contested) t[at + W.waits]! |= 1 << this.#rounds.indexOf(round)
  }

  /** What a tag names that is to be moved, or the image to be restored where it has a record. */
  #find(s: Uint8Array, spec: Extract<RecordWriter, { kind: 'move' | 'restore' }>): number {
    if (spec.kind === 'move') return s[this.#tags + spec.tag]! - 1
    return this.#age(s, spec.image) === ABSENT ? -1 : spec.image
  }

  #renew(s: Uint8Array, at: number, image: number, who: string, emit: Emit): void {
    if (this.#protocol.recordDeadline && this.#accepts(s, at, false)) this.#refuse(s, at, who, emit)
    if (this.#protocol.recordDeadline && !this.#accepts(s, at, true)) return
    const isWritten = this.#protocol.renews || this.#age(s, image) === ABSENT
    const t = isWritten ? this.#withAge(s, image, YOUNG) : Uint8Array.from(s)
    t[at + W.pc] = AT.write
    emit(who, `writes the record of image ${image}`, t)
  }

  #write(
    s: Uint8Array,
    at: number,
    spec: Extract<RecordWriter, { kind: 'move' | 'restore' }>,
    who: string,
    emit: Emit,
  ): void {
    if (this.#accepts(s, at, false)) this.#refuse(s, at, who, emit)
    if (!this.#accepts(s, at, true)) return
    const t = this.#with(s, at + W.pc, AT.release)
    const present = s[this.#tags + spec.tag]!
    const expected = spec.kind === 'move' ? s[at + W.seen]! : 0
    if (present !== expected && this.#protocol.isConditional) {
      emit(who, `finds t${spec.tag} changed`, t)
      return
    }
    const next = spec.kind === 'restore' ? s[at + W.seen]! : (spec.to ?? -1) + 1
    t[this.#tags + spec.tag] = next
    t[2]! &= ~(1 << spec.tag)
    const isLeft = present !== 0 && present !== next
    if (isLeft && this.#age(s, present - 1) !== YOUNG) t[1] = 3
    emit(who, next === 0 ? `deletes t${spec.tag}` : `writes image ${next - 1} to t${spec.tag}`, t)
  }

  #refuse(s: Uint8Array, at: number, who: string, emit: Emit): void {
    emit(who, 'is refused as too late', this.#with(s, at + W.pc, AT.release))
  }

  #mayLook(s: Uint8Array, at: number): boolean {
    return this.#protocol.steps.mayLook(
      this.#rounds.filter((_, i) => (s[at + W.waits]! & (1 << i)) !== 0),
      ({ round }) => s[round] !== ABSENT,
      ({ round }) => this.#isDead(s[round]!),
    )
  }

  #stepCollector(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const { collector } = this.#protocol
    const pc = s[at + C.pc]!
    if (pc === 0) this.#mark(s, at, who, emit)
    else if (pc <= collector.length * 2) this.#prepare(s, at, who, emit)
    else if (pc === collector.length * 2 + 1) this.#delete(s, at, who, emit)
  }

  /** Anything: a mark may be of any age. */
  #mark(s: Uint8Array, at: number, who: string, emit: Emit): void {
    for (let image = 0; image < this.#instance.images.length; image++) {
      if (this.#age(s, image) === ABSENT) continue
      const t = this.#with(s, at + C.names, 1 << image)
      t[at + C.pc] = 1
      t[at + C.age] = this.#age(s, image)
      emit(who, `takes the record of image ${image}`, t)
    }
    for (let name = BLOB; name <= 128; name <<= 1) {
      if ((s[0]! & name) === 0) continue
      const t = this.#with(s, at + C.names, name)
      t[at + C.pc] = 1
      emit(who, `takes blob ${name}`, t)
    }
  }

  /** Odd: the request, or the listing. Even: what was listed, one by one in any order. */
  #prepare(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const pc = s[at + C.pc]!
    const task = this.#protocol.collector[(pc - 1) >> 1]!
    if (pc % 2 === 1) {
      const t = this.#with(s, at + C.pc, pc + (task === 'round' ? 2 : 1))
      if (task === 'round') t[at + C.round] = YOUNG
      else t[at + C.todo] = (1 << this.#countOf(task)) - 1
      emit(who, task === 'round' ? 'opens its round' : `looks at the ${task}`, t)
      return
    }
    const todo = s[at + C.todo]!
    for (let i = 0; todo >> i > 0; i++) {
      if ((todo & (1 << i)) === 0) continue
      const t = this.#with(s, at + C.todo, todo & ~(1 << i))
      if (task === 'pins') this.#readPin(t, at, i)
      else if (task === 'tags') this.#reach(t, at, s[this.#tags + i]! - 1, true)
      else this.#readRecord(t, at, i)
      if (t[at + C.todo] === 0) t[at + C.pc]!++
      emit(who, `reads ${task.slice(0, -1)} ${i}`, t)
    }
  }

  #countOf(task: 'pins' | 'tags' | 'records'): number {
    if (task === 'pins') return this.#writers.length
    return task === 'tags' ? this.#instance.tags.length : this.#instance.images.length
  }

  #readPin(t: Uint8Array, at: number, i: number): void {
    const names = t[at + C.names]!
    if (this.#isPinnedBy(t, i, names)) t[at + C.pinned]! |= t[this.#writers[i]! + W.names]! & names
  }

  #readRecord(t: Uint8Array, at: number, image: number): void {
    const age = this.#age(t, image)
    const isCandidate = (t[at + C.names]! & (1 << image)) !== 0
    if (isCandidate && this.#protocol.looksAtAge) t[at + C.age] = age
    if (!isCandidate && age !== ABSENT && this.#protocol.recordsAreRoots)
      this.#reach(t, at, image, false)
  }

  #reach(t: Uint8Array, at: number, image: number, isTag: boolean): void {
    if (image < 0) return
    const reached = this.#blobsOf(image) | (isTag ? 1 << image : 0)
    t[at + C.live]! |= reached & t[at + C.names]!
  }

  #delete(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const name = s[at + C.names]!
    const t = this.#with(s, at + C.pc, s[at + C.pc]! + 1)
    t[at + C.round] = t[at + C.names] = t[at + C.pinned] = t[at + C.live] = t[at + C.age] = 0
    const isPinned = s[at + C.pinned] !== 0
    const isReached = s[at + C.live] !== 0
    const { mayDelete, mayExpire } = this.#protocol.steps
    const expiresAt = s[at + C.age] === OLD ? -1 : 1
    const isDoomed =
      name >= BLOB
        ? mayDelete({ isPinned, isReferenced: isReached })
        : mayExpire({ isPinned, isReached, hasLiveSubject: false, expiresAt }, 0)
    if (!isDoomed || s[at + C.round]! > YOUNG) emit(who, 'ends its round', Uint8Array.from(t))
    if (!isDoomed || s[at + C.round] === DEAD) return
    if (name >= BLOB) t[0]! &= ~name
    else {
      const image = Math.log2(name)
      if (this.#age(s, image) === YOUNG) t[1] = 1
      t[this.#records + image * 2] = ABSENT
    }
    emit(
      who,
      name >= BLOB ? `deletes blob ${name}` : `deletes the record of image ${Math.log2(name)}`,
      t,
    )
  }

  /** Whether the store may accept (or refuse) what depends on a pin, by one of its clocks. */
  #accepts(s: Uint8Array, at: number, answer: boolean): boolean {
    const pin = s[at + W.pin]!
    if (pin === ABSENT) return answer
    return answer ? pin !== DEAD : pin !== YOUNG
  }

  #ageControl(s: Uint8Array, at: number, what: string, emit: Emit): void {
    const age = s[at]!
    if (age === ABSENT || age === DEAD) return
    const t = this.#with(s, at, age === YOUNG ? EXPIRED : DEAD)
    emit(what, age === YOUNG ? 'expires' : 'is dead', t)
  }

  #isDead(age: number): boolean {
    return this.#protocol.steps.isDead({ expires: EXPIRES[age] }, 0, MARGIN)
  }

  #age(s: Uint8Array, image: number): number {
    return s[this.#records + image * 2]!
  }

  /** With the pins that are there now. */
  #withAge(s: Uint8Array, image: number, age: number): Uint8Array {
    const t = this.#with(s, this.#records + image * 2, age)
    let pins = 0
    for (const [i, at] of this.#writers.entries()) {
      const isPin = this.#instance.writers[i]!.kind !== 'purge'
      if (isPin && s[at + W.pin] !== ABSENT) pins |= 1 << i
    }
    t[this.#records + image * 2 + 1] = age === YOUNG ? pins : 0
    return t
  }

  #blobsOf(image: number): number {
    return this.#instance.images[image]!
  }

  #lacks(s: Uint8Array, image: number): boolean {
    return (this.#blobsOf(image) & ~s[0]!) !== 0
  }

  #with(s: Uint8Array, field: number, value: number): Uint8Array {
    const t = Uint8Array.from(s)
    t[field] = value
    return t
  }
}
