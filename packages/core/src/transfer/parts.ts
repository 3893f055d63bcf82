import type { Readable } from 'node:stream'
import { recyclable, recycle } from '../stream/recycle.ts'
import { assertLength, PartReader } from './part-reader.ts'

const SMALLEST_BUFFER = 64 * 1024
/** Memory that is outgrown waits for the collector: it is to be little of what follows. */
const GROWTH = 16

/** A piece of a body. */
export interface Part {
  readonly bytes: Uint8Array
  readonly isLast: boolean
}

/** How a body is cut. */
export interface PartOptions {
  /** Names the object in errors. */
  readonly what: string
  /** The length the body must have. */
  readonly size?: number | undefined
  /** Bytes of a part, unless so many parts would be too many. */
  readonly partBytes: number
  /** The service takes no more parts than this in one object. */
  readonly mostParts: number
  /** Where memory for parts comes from. */
  readonly pool?: BufferPool | undefined
}

/**
 * Cuts a body into parts of at least `partBytes` and a last one that may be shorter, or empty
 * when it is the only one. Throws `INTEGRITY` as soon as the body cannot be `size` bytes long.
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
  const length = lengthOf(0, { ...options, size })
  let start = 0
  for (; start + length < size; start += length) {
    yield { bytes: body.subarray(start, start + length), isLast: false }
  }
  yield { bytes: body.subarray(start), isLast: true }
}

async function* collect(body: Readable, options: PartOptions): AsyncGenerator<Part, void> {
  const reader = new PartReader(body, options)
  let left = options.size
  try {
    for (let count = 0; ; count++) {
      const limit = lengthOf(count, options)
      // What has filled a part will likely fill another.
      const expected = left ?? (count > 0 ? limit : 0)
      const bytes = await readPart(reader, limit, options.pool, expected)
      const isLast = !(await reader.hasMore())
      yield { bytes, isLast }
      if (isLast) return
      if (left !== undefined) left -= bytes.byteLength
    }
  } finally {
    body.destroy()
  }
}

/** The next `limit` bytes, in memory that grows with what comes: small bodies are many. */
async function readPart(
  reader: PartReader,
  limit: number,
  pool: BufferPool | undefined,
  expected: number,
): Promise<Uint8Array> {
  const allocate = (bytes: number): Buffer =>
    pool?.bytes === bytes ? pool.take() : Buffer.allocUnsafeSlow(bytes)
  let memory = allocate(Math.min(limit, Math.max(expected, SMALLEST_BUFFER)))
  let length = (await reader.fill(memory)).byteLength
  while (length === memory.byteLength && length < limit && (await reader.hasMore())) {
    const grown = allocate(Math.min(limit, GROWTH * length))
    memory.copy(grown)
    recycle(recyclable(memory))
    memory = grown
    length += (await reader.fill(memory.subarray(length))).byteLength
  }
  return memory.subarray(0, length)
}

/**
 * Parts of a body of unknown length double from time to time, so that `mostParts` of them hold the
 * largest object that there can be.
 */
function lengthOf(count: number, { size, partBytes, mostParts }: PartOptions): number {
  if (size === undefined) return partBytes * 2 ** Math.floor((count * 8) / mostParts)
  return Math.max(partBytes, Math.ceil(size / mostParts))
}

/**
 * Memory of sent parts, for the next ones: a fresh buffer for each would wait for the collector,
 * which does not see how large they are.
 */
export class BufferPool {
  /** Bytes of each buffer. */
  readonly bytes: number
  readonly #most: number
  readonly #free: Buffer[] = []

  constructor(bytes: number, most: number) {
    this.bytes = bytes
    this.#most = most
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  /** Takes back what `take` gave, or a view of it; the caller must not use it any more. */
  give(part: Uint8Array): void {
    const { buffer } = part
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== this.bytes) return
    if (this.#free.length < this.#most) this.#free.push(Buffer.from(buffer))
  }
}
