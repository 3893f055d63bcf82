import * as steps from '../../src/gc/steps.ts'
import type { Emit, Model } from './explore.ts'

/**
 * Layers in chunks as a model: a tag names a layer, the recipe of a layer names chunks, which layers
 * share. Writers and collectors take one storage request at a time, in any order; see
 * {@link ProtocolModel} for what else may happen.
 *
 * Names are bits: layer `i` is `1 << i`, and the chunks begin at {@link CHUNK}.
 */
export type ChunkWriter =
  /** Stores a layer and publishes it; with `like`, what the recipe of that tag names is not looked for. */
  | { readonly kind: 'push'; readonly tag: number; readonly layer: number; readonly like?: number }
  | { readonly kind: 'delete'; readonly tag: number }
  /** Gives a tag another layer, which other tags keep. */
  | { readonly kind: 'move'; readonly tag: number; readonly layer: number }
  /** A client that looks whether a layer is there, and may name it while its link lives. */
  | { readonly kind: 'link'; readonly layer: number }

export interface ChunkInstance {
  readonly chunks: number
  /** The chunks that the recipe of each layer names. */
  readonly layers: readonly number[]
  /** The layers that have a recipe at the start. */
  readonly recipes: readonly number[]
  /** The layer of each tag at the start. */
  readonly tags: readonly (number | undefined)[]
  readonly writers: readonly ChunkWriter[]
  readonly collectors: number
  /** What each collector takes for garbage at most; default: anything. */
  readonly candidates?: readonly number[]
}

type Task = 'round' | 'pins' | 'tags' | 'recipes'

/** The protocol, and what a mutation takes out of it. */
export interface ChunkProtocol {
  readonly steps: Pick<typeof steps, keyof typeof steps>
  /** A push pins the chunks that it knows, and its layer. */
  readonly pinsKnown: boolean
  readonly pinsLayer: boolean
  /** A push looks at the tag and the recipe that it knows chunks of again, once no round can delete them. */
  readonly looksAgain: boolean
  /** A recipe is written after its chunks, and under the deadline of the pin. */
  readonly recipeLast: boolean
  readonly recipeDeadline: boolean
  /** A recipe keeps its chunks although no tag names its layer. */
  readonly recipesAreRoots: boolean
  /** What a collector does once it has marked: for a recipe, and for a chunk. */
  readonly recipeRound: readonly Task[]
  readonly chunkRound: readonly Task[]
}

export const CHUNK_PROTOCOL: ChunkProtocol = {
  steps,
  pinsKnown: true,
  pinsLayer: true,
  looksAgain: true,
  recipeLast: true,
  recipeDeadline: true,
  recipesAreRoots: true,
  recipeRound: ['round', 'pins', 'tags'],
  chunkRound: ['round', 'pins', 'recipes'],
}

export const CHUNK = 8

/** Ages of pins and rounds as in `model.ts`. */
const ABSENT = 0
const YOUNG = 1
const EXPIRED = 2
const DEAD = 3
const MARGIN = 5
const EXPIRES = [0, 5, -2, -10]

/** The chunks, then the recipes that are there. */
const CHUNKS = 0
const RECIPES = 1
const TAGS = 2
const W = { pc: 0, seen: 1, pin: 2, names: 3, waits: 4, todo: 5 }
const WRITER_SIZE = 6
const C = { pc: 0, names: 1, pinned: 2, live: 3, todo: 4, round: 5 }
const COLLECTOR_SIZE = 6

const AT = { know: 0, pin: 1, rounds: 2, again: 3, look: 4, recipe: 5, tag: 6, release: 7, done: 8 }

export class ChunkModel implements Model {
  readonly size: number
  readonly start: Uint8Array
  readonly #instance: ChunkInstance
  readonly #protocol: ChunkProtocol
  readonly #writers: readonly number[]
  readonly #collectors: readonly number[]

  constructor(instance: ChunkInstance, protocol: ChunkProtocol = CHUNK_PROTOCOL) {
    const { chunks, recipes, tags, writers, collectors } = instance
    this.#instance = instance
    this.#protocol = protocol
    const first = TAGS + tags.length
    this.#writers = writers.map((_, i) => first + i * WRITER_SIZE)
    const end = first + writers.length * WRITER_SIZE
    this.#collectors = Array.from({ length: collectors }, (_, i) => end + i * COLLECTOR_SIZE)
    this.size = Math.ceil((end + collectors * COLLECTOR_SIZE) / 4) * 4
    this.start = new Uint8Array(this.size)
    this.start[CHUNKS] = chunks
    for (const layer of recipes) this.start[RECIPES]! |= 1 << layer
    for (const [i, layer] of tags.entries()) this.start[TAGS + i] = (layer ?? -1) + 1
  }

  broken(s: Uint8Array): string | undefined {
    for (let tag = 0; tag < this.#instance.tags.length; tag++) {
      const layer = s[TAGS + tag]! - 1
      if (layer < 0) continue
      if (!this.#hasRecipe(s, layer)) return `tag t${tag} has lost its recipe`
      if (this.#lacks(s, layer)) return `tag t${tag} has lost a chunk`
    }
    for (let layer = 0; layer < this.#instance.layers.length; layer++) {
      if (this.#hasRecipe(s, layer) && this.#lacks(s, layer)) {
        return `the recipe of layer ${layer} has lost a chunk`
      }
    }
    for (const [i, spec] of this.#instance.writers.entries()) {
      const at = this.#writers[i]!
      const isTold = spec.kind === 'link' && s[at + W.seen] === 1 && s[at + W.pin] === YOUNG
      if (isTold && !this.#hasRecipe(s, spec.layer)) return 'a linked layer is gone'
    }
    return undefined
  }

  next(s: Uint8Array, emit: Emit): void {
    for (const [i, spec] of this.#instance.writers.entries()) {
      const at = this.#writers[i]!
      const who = `${spec.kind} ${i}`
      this.#age(s, at + W.pin, `the pin of ${who}`, emit)
      if (spec.kind === 'push') this.#stepPush(s, at, spec, who, emit)
      else if (spec.kind === 'link') this.#stepLink(s, at, spec.layer, who, emit)
      else this.#stepTag(s, at, spec, who, emit)
    }
    for (const [i, at] of this.#collectors.entries()) {
      this.#age(s, at + C.round, `the round of collector ${i}`, emit)
      this.#stepCollector(s, at, `collector ${i}`, emit)
    }
  }

  #stepTag(
    s: Uint8Array,
    at: number,
    spec: Extract<ChunkWriter, { kind: 'delete' | 'move' }>,
    who: string,
    emit: Emit,
  ): void {
    if (s[at + W.pc] !== 0) return
    const t = this.#with(s, at + W.pc, AT.done)
    t[TAGS + spec.tag] = spec.kind === 'move' ? spec.layer + 1 : 0
    emit(
      who,
      spec.kind === 'move' ? `gives t${spec.tag} layer ${spec.layer}` : `deletes t${spec.tag}`,
      t,
    )
  }

  /** It finds the recipe, and does not look for chunks. */
  #stepLink(s: Uint8Array, at: number, layer: number, who: string, emit: Emit): void {
    const pc = s[at + W.pc]!
    if (pc > 2) return
    const t = this.#with(s, at + W.pc, pc + 1)
    if (pc === 0) {
      t[at + W.pin] = YOUNG
      t[at + W.names] = 1 << layer
      emit(who, 'writes a link', t)
    } else if (pc === 1) {
      this.#contest(t, at, 1 << layer)
      emit(who, 'lists the rounds', t)
    } else if (this.#mayLook(s, at)) {
      t[at + W.seen] = this.#hasRecipe(s, layer) ? 1 : 0
      emit(who, t[at + W.seen] === 1 ? 'finds the recipe' : 'finds nothing', t)
    }
  }

  #stepPush(
    s: Uint8Array,
    at: number,
    { tag, layer, like }: Extract<ChunkWriter, { kind: 'push' }>,
    who: string,
    emit: Emit,
  ): void {
    switch (s[at + W.pc]) {
      case AT.know: {
        const known = this.#known(s, like)
        const t = this.#with(s, at + W.pc, AT.pin)
        t[at + W.seen] = known
        emit(who, known === 0 ? 'knows no chunk' : `reads t${like} and its recipe`, t)
        return
      }
      case AT.pin: {
        const { pinsKnown, pinsLayer } = this.#protocol
        const t = this.#with(s, at + W.pc, AT.rounds)
        t[at + W.pin] = YOUNG
        const known = pinsKnown ? 0 : s[at + W.seen]!
        t[at + W.names] = (this.#chunksOf(layer) & ~known) | (pinsLayer ? 1 << layer : 0)
        emit(who, 'writes a pin', t)
        return
      }
      case AT.rounds: {
        const t = this.#with(s, at + W.pc, AT.again)
        this.#contest(t, at, s[at + W.names]!)
        emit(who, 'lists the rounds', t)
        return
      }
      case AT.again:
        this.#again(s, at, layer, like, who, emit)
        return
      case AT.look:
        this.#look(s, at, who, emit)
        return
      case AT.recipe:
        this.#write(s, at, this.#protocol.recipeDeadline, emit, who, (t) => {
          t[RECIPES]! |= 1 << layer
          t[at + W.pc] = this.#protocol.recipeLast ? AT.tag : AT.look
          return `writes the recipe of layer ${layer}`
        })
        return
      case AT.tag:
        this.#write(s, at, true, emit, who, (t) => {
          t[TAGS + tag] = layer + 1
          t[at + W.pc] = AT.release
          return `publishes t${tag}`
        })
        return
      case AT.release: {
        const t = this.#with(s, at + W.pc, AT.done)
        t[at + W.pin] = t[at + W.names] = t[at + W.waits] = t[at + W.seen] = 0
        emit(who, 'removes its pin', t)
      }
    }
  }

  /** What is known of another tag's recipe counts only while both are what they were. */
  #again(
    s: Uint8Array,
    at: number,
    layer: number,
    like: number | undefined,
    who: string,
    emit: Emit,
  ): void {
    if (!this.#mayLook(s, at)) return
    const seen = s[at + W.seen]!
    const isKnown = seen !== 0 && (!this.#protocol.looksAgain || this.#known(s, like) === seen)
    const t = this.#with(s, at + W.pc, this.#protocol.recipeLast ? AT.look : AT.recipe)
    t[at + W.todo] = this.#chunksOf(layer) & ~(isKnown ? seen : 0)
    if (t[at + W.todo] === 0 && t[at + W.pc] === AT.look) t[at + W.pc] = AT.recipe
    emit(who, seen === 0 ? 'begins' : isKnown ? 'finds both again' : 'finds them changed', t)
  }

  #look(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const todo = s[at + W.todo]!
    const chunk = todo & -todo
    const t = this.#with(s, at + W.todo, todo & ~chunk)
    t[CHUNKS]! |= chunk
    if (t[at + W.todo] === 0) t[at + W.pc] = this.#protocol.recipeLast ? AT.recipe : AT.tag
    emit(who, (s[CHUNKS]! & chunk) === 0 ? `stores chunk ${chunk}` : `finds chunk ${chunk}`, t)
  }

  /** A write that the store takes or refuses by the pin; one that is refused ends the push. */
  #write(
    s: Uint8Array,
    at: number,
    hasDeadline: boolean,
    emit: Emit,
    who: string,
    write: (t: Uint8Array) => string,
  ): void {
    const pin = s[at + W.pin]!
    if (hasDeadline && pin !== YOUNG) {
      emit(who, 'is refused as too late', this.#with(s, at + W.pc, AT.release))
    }
    if (hasDeadline && pin === DEAD) return
    const t = Uint8Array.from(s)
    emit(who, write(t), t)
  }

  #known(s: Uint8Array, like: number | undefined): number {
    const layer = like === undefined ? -1 : s[TAGS + like]! - 1
    return layer >= 0 && this.#hasRecipe(s, layer) ? this.#chunksOf(layer) : 0
  }

  #contest(t: Uint8Array, at: number, names: number): void {
    const contested = this.#protocol.steps.waitSet(
      this.#collectors.filter((c) => t[c + C.round] !== ABSENT),
      (c) => (t[c + C.names]! & names) !== 0,
      (c) => this.#isDead(t[c + C.round]!),
    )
    for (const c of contested) t[at + W.waits]! |= 1 << this.#collectors.indexOf(c)
  }

  #mayLook(s: Uint8Array, at: number): boolean {
    return this.#protocol.steps.mayLook(
      this.#collectors.filter((_, i) => (s[at + W.waits]! & (1 << i)) !== 0),
      (c) => s[c + C.round] !== ABSENT,
      (c) => this.#isDead(s[c + C.round]!),
    )
  }

  #stepCollector(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const pc = s[at + C.pc]!
    const tasks = this.#tasksOf(s[at + C.names]!)
    if (pc === 0) this.#mark(s, at, who, emit)
    else if (pc <= tasks.length * 2) this.#prepare(s, at, tasks, who, emit)
    else if (pc === tasks.length * 2 + 1) this.#delete(s, at, who, emit)
  }

  #tasksOf(name: number): readonly Task[] {
    return name >= CHUNK ? this.#protocol.chunkRound : this.#protocol.recipeRound
  }

  /** Anything that is there: a mark may be of any age. */
  #mark(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const most = this.#instance.candidates?.[this.#collectors.indexOf(at)] ?? 255
    const there = (s[CHUNKS]! | s[RECIPES]!) & most
    for (let name = 1; name <= 128; name <<= 1) {
      if ((there & name) === 0) continue
      const t = this.#with(s, at + C.names, name)
      t[at + C.pc] = 1
      emit(who, `takes ${nameOf(name)} for garbage`, t)
    }
  }

  /** Odd: the request, or the listing. Even: what was listed, one by one in any order. */
  #prepare(s: Uint8Array, at: number, tasks: readonly Task[], who: string, emit: Emit): void {
    const pc = s[at + C.pc]!
    const task = tasks[(pc - 1) >> 1]!
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
      const names = t[at + C.names]!
      if (task === 'pins') t[at + C.pinned]! |= this.#pinned(s, i) & names
      else if (task === 'tags') t[at + C.live]! |= this.#layerBit(s[TAGS + i]!) & names
      else if (this.#keeps(s, i)) t[at + C.live]! |= this.#chunksOf(i) & names
      if (t[at + C.todo] === 0) t[at + C.pc]!++
      emit(who, `reads ${task.slice(0, -1)} ${i}`, t)
    }
  }

  #countOf(task: Exclude<Task, 'round'>): number {
    if (task === 'pins') return this.#writers.length
    return task === 'tags' ? this.#instance.tags.length : this.#instance.layers.length
  }

  #pinned(s: Uint8Array, i: number): number {
    const at = this.#writers[i]!
    const pin = s[at + W.pin]!
    return pin === ABSENT || this.#isDead(pin) ? 0 : s[at + W.names]!
  }

  #keeps(s: Uint8Array, layer: number): boolean {
    if (!this.#hasRecipe(s, layer)) return false
    const isTagged = this.#instance.tags.some((_, tag) => s[TAGS + tag] === layer + 1)
    return this.#protocol.recipesAreRoots || isTagged
  }

  #layerBit(named: number): number {
    return named === 0 ? 0 : 1 << (named - 1)
  }

  #delete(s: Uint8Array, at: number, who: string, emit: Emit): void {
    const name = s[at + C.names]!
    const t = this.#with(s, at + C.pc, s[at + C.pc]! + 1)
    const isDoomed = this.#protocol.steps.mayDelete({
      isPinned: s[at + C.pinned] !== 0,
      isReferenced: s[at + C.live] !== 0,
    })
    t[at + C.pc] = 255
    t[at + C.round] = t[at + C.names] = t[at + C.pinned] = t[at + C.live] = 0
    if (!isDoomed || s[at + C.round]! > YOUNG) emit(who, 'ends its round', Uint8Array.from(t))
    if (!isDoomed || s[at + C.round] === DEAD) return
    t[name >= CHUNK ? CHUNKS : RECIPES]! &= ~name
    emit(who, `deletes ${nameOf(name)}`, t)
  }

  #age(s: Uint8Array, at: number, what: string, emit: Emit): void {
    const age = s[at]!
    if (age === ABSENT || age === DEAD) return
    emit(
      what,
      age === YOUNG ? 'expires' : 'is dead',
      this.#with(s, at, age === YOUNG ? EXPIRED : DEAD),
    )
  }

  #isDead(age: number): boolean {
    return this.#protocol.steps.isDead({ expires: EXPIRES[age] }, 0, MARGIN)
  }

  #hasRecipe(s: Uint8Array, layer: number): boolean {
    return (s[RECIPES]! & (1 << layer)) !== 0
  }

  #chunksOf(layer: number): number {
    return this.#instance.layers[layer]!
  }

  #lacks(s: Uint8Array, layer: number): boolean {
    return (this.#chunksOf(layer) & ~s[CHUNKS]!) !== 0
  }

  #with(s: Uint8Array, field: number, value: number): Uint8Array {
    const t = Uint8Array.from(s)
    t[field] = value
    return t
  }
}

function nameOf(name: number): string {
  return name >= CHUNK ? `chunk ${name}` : `the recipe of layer ${Math.log2(name)}`
}
