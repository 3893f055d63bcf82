import type { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'

const SMALLEST_BUFFER = 64 * 1024

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
  if (size !== body.byteLength) throw wrongLength(what, size, body.byteLength)
  const length = lengthOf(0, { ...options, size })
  let start = 0
  for (; start + length < size; start += length) {
    yield { bytes: body.subarray(start, start + length), isLast: false }
  }
  yield { bytes: body.subarray(start), isLast: true }
}

async function* collect(body: Readable, options: PartOptions): AsyncGenerator<Part, void> {
  const { what, size } = options
  let received = 0
  let count = 0
  let part = new PartBuffer(lengthOf(count, options), options.pool, size)
  for await (const chunk of body as AsyncIterable<unknown>) {
    if (!(chunk instanceof Uint8Array)) throw new S3loError('INTERNAL', 'a body must give bytes')
    received += chunk.byteLength
    if (size !== undefined && received > size) throw wrongLength(what, size, received)
    for (let start = 0; start < chunk.byteLength;) {
      if (part.isFull) {
        yield { bytes: part.bytes, isLast: false }
        count += 1
        part = new PartBuffer(lengthOf(count, options), options.pool, size && size - received)
      }
      start += part.append(chunk.subarray(start))
    }
  }
  if (size !== undefined && received < size) throw wrongLength(what, size, received)
  yield { bytes: part.bytes, isLast: true }
}

/**
 * Parts of a body of unknown length double from time to time, so that `mostParts` of them hold the
 * largest object that there can be.
 */
function lengthOf(count: number, { size, partBytes, mostParts }: PartOptions): number {
  if (size === undefined) return partBytes * 2 ** Math.floor((count * 8) / mostParts)
  return Math.max(partBytes, Math.ceil(size / mostParts))
}

function wrongLength(what: string, size: number, received: number): S3loError {
  const got = received > size ? 'there are more' : `only ${received} came`
  return new S3loError('INTEGRITY', `${what} was to be ${size} bytes long, and ${got}`)
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

  /** Takes back what `take` gave, or a view of it; nobody may use it any more. */
  give(part: Uint8Array): void {
    const { buffer } = part
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== this.bytes) return
    if (this.#free.length < this.#most) this.#free.push(Buffer.from(buffer))
  }
}

/** Memory for one part, which grows with what comes: small bodies are many. */
class PartBuffer {
  readonly #limit: number
  readonly #pool: BufferPool | undefined
  #buffer: Buffer
  #length = 0

  constructor(limit: number, pool: BufferPool | undefined, expected = 0) {
    this.#limit = limit
    this.#pool = pool?.bytes === limit ? pool : undefined
    this.#buffer = this.#allocate(Math.min(limit, Math.max(expected, SMALLEST_BUFFER)))
  }

  get isFull(): boolean {
    return this.#length === this.#limit
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Takes as many of `bytes` as there is room for, and says how many those are. */
  append(bytes: Uint8Array): number {
    const taken = Math.min(bytes.byteLength, this.#limit - this.#length)
    this.#reserve(this.#length + taken)
    this.#buffer.set(bytes.subarray(0, taken), this.#length)
    this.#length += taken
    return taken
  }

  #reserve(length: number): void {
    if (length <= this.#buffer.byteLength) return
    const grown = Math.max(length, 2 * this.#buffer.byteLength)
    const buffer = this.#allocate(Math.min(this.#limit, grown))
    this.#buffer.copy(buffer, 0, 0, this.#length)
    this.#buffer = buffer
  }

  #allocate(bytes: number): Buffer {
    return this.#pool?.bytes === bytes ? this.#pool.take() : Buffer.allocUnsafeSlow(bytes)
  }
}
