import type { Readable } from 'node:stream'
import { BudgetShare, type ByteBudget } from '../concurrency/byte-budget.ts'
import { recyclable, recycle } from '../stream/recycle.ts'
import { assertLength, PartReader } from './part-reader.ts'

const SMALLEST_BUFFER = 64 * 1024
/** Memory that is outgrown waits for the collector: it is to be little of what follows. */
const GROWTH = 16
/** Parts of a body of unknown length double up to this (bytes). */
const LONGEST_PART = 1024 ** 3
/** How often they would double in as many parts as there may be. */
const DOUBLINGS = 16

/** A piece of a body. */
export interface Part {
  readonly bytes: Uint8Array
  readonly isLast: boolean
  /** What is reserved for the first part of a stream, to be given back when it has been sent. */
  readonly share?: BudgetShare | undefined
}

/** What the length of parts follows from. */
export interface PartLengths {
  /** The length the body must have. */
  readonly size?: number | undefined
  /** Bytes of a part, unless so many parts would be too many. */
  readonly partBytes: number
  /** The service takes no more parts than this in one object. */
  readonly mostParts: number
}

/** How a body is cut. */
export interface PartOptions extends PartLengths {
  /** Names the object in errors. */
  readonly what: string
  /** Stands in for `partBytes` where a stream begins while others hold the memory. */
  readonly leastPartBytes: number
  /** Memory that all streams share. */
  readonly budget: ByteBudget
  /** Where it comes from. */
  readonly pool: BufferPool
}

/**
 * Cuts a body into parts of one length and a last one that may be shorter, or empty when it is the
 * only one; a stream of unknown length has longer ones where it would have too many. Throws `INTEGRITY`
 * as soon as the body cannot be `size` bytes long.
 */
export async function* readParts(
  body: Uint8Array | Readable,
  options: PartOptions,
): AsyncGenerator<Part, void> {
  if (body instanceof Uint8Array) yield* cut(body, options)
  else yield* collect(body, options)
}

/** Bytes that are there already are cut where they lie. They are the caller's, so no pool may have them. */
function* cut(body: Uint8Array, options: PartOptions): Generator<Part, void> {
  const { what, size = body.byteLength } = options
  assertLength({ what, size }, body.byteLength)
  const length = lengthOfPart(0, { ...options, size })
  let start = 0
  for (; start + length < size; start += length) {
    yield { bytes: body.subarray(start, start + length), isLast: false }
  }
  yield { bytes: body.subarray(start), isLast: true }
}

async function* collect(body: Readable, options: PartOptions): AsyncGenerator<Part, void> {
  const reader = new PartReader(body, options)
  try {
    const { part, partBytes } = await readFirst(reader, options)
    yield part
    let { isLast } = part
    for (let count = 1; !isLast; count++) {
      const memory = options.pool.take(lengthOfPart(count, { ...options, partBytes }))
      const bytes = await reader.fill(memory)
      isLast = !(await reader.hasMore())
      yield { bytes, isLast }
    }
  } finally {
    body.destroy()
  }
}

/** The first part, and the `partBytes` of all: some services take no parts of two lengths. */
interface FirstPart {
  readonly part: Part
  readonly partBytes: number
}

/** In memory that grows with what comes: small bodies are many, and slow clients too. */
async function readFirst(reader: PartReader, options: PartOptions): Promise<FirstPart> {
  const { size, pool, budget } = options
  const share = new BudgetShare(budget)
  let { partBytes } = options
  const allocate = (bytes: number): Buffer => {
    if (isShort(bytes, options)) {
      share.grow(bytes)
      return Buffer.allocUnsafeSlow(bytes)
    }
    // Nothing waits here: a slow client may hold the memory.
    if (budget.isScarce) partBytes = options.leastPartBytes
    share.grow(lengthOfPart(0, { ...options, partBytes }))
    return pool.take(share.bytes)
  }
  try {
    let memory = allocate(size ?? SMALLEST_BUFFER)
    let { byteLength: length } = await reader.fill(memory)
    let hasMore = await reader.hasMore()
    while (hasMore && isShort(memory.byteLength, options)) {
      const grown = allocate(GROWTH * length)
      memory.copy(grown)
      recycle(recyclable(memory))
      memory = grown
      length += (await reader.fill(memory.subarray(length))).byteLength
      hasMore = await reader.hasMore()
    }
    const part = { bytes: memory.subarray(0, length), isLast: !hasMore, share }
    return { part, partBytes }
  } catch (error) {
    share.giveBack()
    throw error
  }
}

/** True for memory that is less than a part, or all of a body that goes in one request. */
function isShort(bytes: number, { size, partBytes, leastPartBytes }: PartOptions): boolean {
  return size === undefined ? bytes < leastPartBytes : size <= partBytes
}

/**
 * Bytes of the part that `count` others come before. Those of a stream of unknown length double from time to
 * time behind the first eighth, so that `mostParts` of them hold the largest object that there can be.
 */
export function lengthOfPart(count: number, { size, partBytes, mostParts }: PartLengths): number {
  if (size !== undefined) return Math.max(partBytes, Math.ceil(size / mostParts))
  const doubled = Math.max(0, Math.floor((count * DOUBLINGS) / mostParts) - 1)
  return Math.min(partBytes * 2 ** doubled, Math.max(partBytes, LONGEST_PART))
}

/**
 * Memory of sent parts, for the next ones: a fresh buffer for each would wait for the collector,
 * which does not see how large they are.
 */
export class BufferPool {
  readonly #most: number
  readonly #free: Buffer[] = []
  #bytes = 0

  /** @param most What waits for its next use (bytes). */
  constructor(most: number) {
    this.#most = most
  }

  /** Memory of exactly that length, with anything in it. */
  take(bytes: number): Buffer {
    const index = this.#free.findLastIndex(({ byteLength }) => byteLength === bytes)
    const [found] = index < 0 ? [] : this.#free.splice(index, 1)
    if (found) {
      this.#bytes -= bytes
      return found
    }
    // What waits has lengths that are no longer asked for.
    this.#freeTo(this.#bytes - bytes)
    return Buffer.allocUnsafeSlow(bytes)
  }

  /** Takes back what `take` gave, or a view of it; the caller must not use it any more. */
  give({ buffer }: Uint8Array): void {
    this.#free.push(Buffer.from(buffer))
    this.#bytes += buffer.byteLength
    this.#freeTo(this.#most)
  }

  /** The one that has waited longest goes first. */
  #freeTo(most: number): void {
    while (this.#bytes > most) {
      const oldest = this.#free.shift()
      if (!oldest) return
      this.#bytes -= oldest.byteLength
      recycle(recyclable(oldest))
    }
  }
}
