import { S3loError } from '@s3lo/core/plugin'
import type { ByteText } from '@s3lo/core/tar'

const EMPTY = '' as ByteText

/** What a well-formed buffer may claim beyond its own length. */
const BUDGET_SLACK = 64 * 1024

/** A table that a writer made takes at least this, with the fields that it always has (bytes). */
const TABLE_COST = 12

/** A table in a buffer: where it and its vtable lie. */
export interface FlatTable {
  readonly at: number
  readonly vtable: number
  readonly vtableSize: number
}

/**
 * Reads an unchecked FlatBuffer. Every access is bounded, and all that is read
 * together is bounded by the buffer's length: offsets that point at one place many times over run
 * into `INTEGRITY`, not out of memory.
 */
export class FlatReader {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #what: string
  #budget: number

  /** `what` is named in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
    this.#budget = 2 * bytes.byteLength + BUDGET_SLACK
  }

  root(): FlatTable {
    return this.#table(this.#follow(0))
  }

  table(parent: FlatTable, slot: number): FlatTable | undefined {
    const at = this.#field(parent, slot)
    return at === undefined ? undefined : this.#table(this.#follow(at))
  }

  /** An absent text is empty. */
  text(table: FlatTable, slot: number): ByteText {
    const at = this.#field(table, slot)
    return at === undefined ? EMPTY : this.#textAt(this.#follow(at))
  }

  /** A text or byte vector, where it lies. */
  bytes(table: FlatTable, slot: number): Uint8Array {
    const at = this.#field(table, slot)
    return at === undefined ? new Uint8Array() : this.#bytesAt(this.#follow(at))
  }

  texts(table: FlatTable, slot: number): readonly ByteText[] {
    return this.#elements(table, slot, (at) => this.#textAt(at))
  }

  tables(table: FlatTable, slot: number): readonly FlatTable[] {
    return this.#elements(table, slot, (at) => this.#table(at))
  }

  int8(table: FlatTable, slot: number, absent: number): number {
    const at = this.#field(table, slot)
    return at === undefined ? absent : this.#view.getInt8(this.#checked(at, 1))
  }

  int32(table: FlatTable, slot: number): number {
    const at = this.#field(table, slot)
    return at === undefined ? 0 : this.#int32(at)
  }

  uint32(table: FlatTable, slot: number): number {
    return this.int32(table, slot) >>> 0
  }

  /** A 64-bit number that a double holds exactly; any other is `INTEGRITY`. */
  int64(table: FlatTable, slot: number): number {
    const at = this.#field(table, slot)
    if (at === undefined) return 0
    this.#checked(at, 8)
    // Half by half, as a BigInt for each number of each entry costs more than all else.
    const value = this.#view.getInt32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true)
    return Number.isSafeInteger(value) ? value : this.#fail(`a number is ${value}`)
  }

  #elements<T>(table: FlatTable, slot: number, read: (at: number) => T): readonly T[] {
    const field = this.#field(table, slot)
    if (field === undefined) return []
    const at = this.#follow(field)
    const length = this.#uint32(at)
    this.#charge(length * 4)
    const end = at + 4 + length * 4
    if (end > this.#bytes.length) this.#fail(`a list of ${length} is longer than the buffer`)
    const found: T[] = []
    for (let i = 0; i < length; i++) found.push(read(this.#follow(at + 4 + i * 4)))
    return found
  }

  #bytesAt(at: number): Uint8Array {
    return this.#bytes.subarray(at + 4, at + 4 + this.#lengthAt(at))
  }

  #textAt(at: number): ByteText {
    const length = this.#lengthAt(at)
    return length === 0
      ? EMPTY
      : (this.#bytes.toString('latin1', at + 4, at + 4 + length) as ByteText)
  }

  #lengthAt(at: number): number {
    const length = this.#uint32(at)
    if (at + 4 + length > this.#bytes.length) this.#fail(`a text of ${length} bytes is cut off`)
    this.#charge(4 + length)
    return length
  }

  #table(at: number): FlatTable {
    this.#charge(TABLE_COST)
    const vtable = at - this.#int32(at)
    if (vtable < 0) this.#fail('a vtable is outside the buffer')
    const vtableSize = this.#view.getUint16(this.#checked(vtable, 4), true)
    if (vtableSize < 4 || vtable + vtableSize > this.#bytes.length) {
      this.#fail('a vtable is outside the buffer')
    }
    return { at, vtable, vtableSize }
  }

  #field({ at, vtable, vtableSize }: FlatTable, slot: number): number | undefined {
    const entry = 4 + 2 * slot
    if (entry + 2 > vtableSize) return undefined
    const offset = this.#view.getUint16(vtable + entry, true)
    return offset === 0 ? undefined : at + offset
  }

  #follow(at: number): number {
    return at + this.#uint32(at)
  }

  #uint32(at: number): number {
    return this.#view.getUint32(this.#checked(at, 4), true)
  }

  #int32(at: number): number {
    return this.#view.getInt32(this.#checked(at, 4), true)
  }

  /** The offset of something so long, once it is known to lie in the buffer. */
  #checked(at: number, length: number): number {
    return at + length > this.#bytes.length ? this.#fail('an offset is outside the buffer') : at
  }

  #charge(bytes: number): void {
    this.#budget -= bytes
    if (this.#budget < 0) this.#fail('it claims more content than it has bytes')
  }

  #fail(what: string): never {
    throw new S3loError('INTEGRITY', `the ${this.#what} is malformed: ${what}`)
  }
}
