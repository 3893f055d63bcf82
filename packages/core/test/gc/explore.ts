/** A system of states, each a few bytes: small enough to try everything that can happen in any order. */
export interface Model {
  /** Bytes of a state, a multiple of 4. */
  readonly size: number
  readonly start: Uint8Array
  /** Emits every state that one step leads to. */
  next(state: Uint8Array, emit: Emit): void
  /** What is wrong with a state, or `undefined`. */
  broken(state: Uint8Array): string | undefined
}

/** Takes the successor in `state`, which may be used again; `actor` and `step` name it in a trace. */
export type Emit = (actor: string, step: string, state: Uint8Array) => void

export interface Exploration {
  readonly states: number
  readonly transitions: number
  /** The shortest way to a broken state: one line a step, then what is wrong. */
  readonly trace?: readonly string[]
  /** False when the limit of states was reached. */
  readonly complete: boolean
}

/**
 * Visits every reachable state, breadth first, until one is broken. States are compared byte for
 * byte: they lie in one array, and a table of their numbers is searched by hash. A `Set` of strings
 * took six times as long and ten times the memory.
 */
export function explore(model: Model, limit: number): Exploration {
  const states = new StateTable(model.size, limit)
  const found: { number: number; why: string }[] = []
  let transitions = 0
  const visit = (state: Uint8Array, parent: number): void => {
    const number = states.add(state, parent)
    const why = number === undefined ? undefined : model.broken(state)
    if (number !== undefined && why !== undefined) found.push({ number, why })
  }
  visit(model.start, -1)
  const state = new Uint8Array(model.size)
  for (let number = 0; number < states.count; number++) {
    if (found.length > 0 || states.isFull) break
    states.read(number, state)
    model.next(state, (_actor, _step, successor) => {
      transitions++
      visit(successor, number)
    })
  }
  const [first] = found
  return {
    states: states.count,
    transitions,
    complete: !states.isFull,
    ...(first ? { trace: [...traceTo(model, states, first.number), first.why] } : {}),
  }
}

/** Runs the path again to learn the names of its steps: the table keeps only numbers. */
function traceTo(model: Model, states: StateTable, last: number): readonly string[] {
  const lines: string[] = []
  for (let number = last; states.parentOf(number) >= 0; number = states.parentOf(number)) {
    let line = ''
    const parent = states.read(states.parentOf(number), new Uint8Array(model.size))
    const child = states.read(number, new Uint8Array(model.size))
    model.next(parent, (actor, step, successor) => {
      if (line === '' && Buffer.compare(successor, child) === 0) line = `${actor}: ${step}`
    })
    lines.unshift(line)
  }
  return lines
}

class StateTable {
  count = 0
  isFull = false
  readonly #words: number
  readonly #limit: number
  readonly #arena: Uint32Array
  readonly #bytes: Uint8Array
  readonly #parents: Int32Array
  /** Numbers of states plus one; twice as many places as states, at least. */
  readonly #table: Int32Array
  readonly #mask: number

  constructor(size: number, limit: number) {
    this.#words = size / 4
    this.#limit = limit
    this.#arena = new Uint32Array((limit + 1) * this.#words)
    this.#bytes = new Uint8Array(this.#arena.buffer)
    this.#parents = new Int32Array(limit + 1)
    const places = 2 ** Math.ceil(Math.log2(limit * 2))
    this.#table = new Int32Array(places)
    this.#mask = places - 1
  }

  /** The number of a new state; `undefined` for a known one and when the table is full. */
  add(state: Uint8Array, parent: number): number | undefined {
    // Written behind the last one, where it stays if it is new.
    const words = this.#words
    const base = this.count * words
    this.#bytes.set(state, base * 4)
    let hash = 0
    for (let i = 0; i < words; i++) {
      hash = Math.imul(hash ^ this.#arena[base + i]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    for (let place = hash & this.#mask; ; place = (place + 1) & this.#mask) {
      const number = this.#table[place]! - 1
      if (number < 0) return this.#keep(place, parent)
      if (this.#isEqual(number * words, base)) return undefined
    }
  }

  read(number: number, into: Uint8Array): Uint8Array {
    const base = number * this.#words * 4
    for (let i = 0; i < into.length; i++) into[i] = this.#bytes[base + i]!
    return into
  }

  parentOf(number: number): number {
    return this.#parents[number]!
  }

  #keep(place: number, parent: number): number | undefined {
    if (this.count === this.#limit) {
      this.isFull = true
      return undefined
    }
    this.#parents[this.count] = parent
    this.#table[place] = ++this.count
    return this.count - 1
  }

  #isEqual(a: number, b: number): boolean {
    for (let i = 0; i < this.#words; i++) {
      if (this.#arena[a + i] !== this.#arena[b + i]) return false
    }
    return true
  }
}
