import { type ByteText, decodeText } from './byte-text.ts'
import { formatTarTime, parsePax, parsePaxInteger, parsePaxTime, type TarTime } from './pax.ts'
import { BLOCK_SIZE, cString, invalidHeader, parseTarHeader, type TarHeader } from './tar-header.ts'
import { TocBudget, unsupported } from './toc-budget.ts'
import type { EntryType, TocEntry } from './toc-entry.ts'

/** The largest body of a PAX or GNU long-name header (bytes), as in Go. */
const MAX_SPECIAL_BODY = 1024 * 1024

const ENTRY_TYPES: Readonly<Record<string, EntryType>> = {
  '0': 'reg',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
}

/** What else is a file when reading over everything: contiguous and sparse ones. */
const TOLERATED: Readonly<Record<string, EntryType>> = { '7': 'reg', S: 'reg' }

/** GNU's old form of sparse files: the bytes that say that the map continues in another block. */
const SPARSE_HEADER_CONTINUES = 482
const SPARSE_MAP_CONTINUES = 504

/** Entries that have no content, even if their header claims a size. */
const LINK_FLAG = /^[1-6]$/

const NO_RECORDS: ReadonlyMap<ByteText, ByteText> = new Map()

/** Takes what a tar holds while it passes. */
export interface TarVisitor {
  entry(entry: TocEntry): void
  /** The next bytes of the content of the entry before. */
  content(bytes: Uint8Array): void
}

export interface TarTocOptions {
  /** Where in the tar the first byte is that will be pushed. */
  readonly position?: number | undefined
  /** Keeps the size that a link's header claims, though no content follows, as the original does. */
  readonly keepLinkSizes?: boolean | undefined
  /** Reads over what no zTOC can describe: sparse files are marked, other kinds left out. */
  readonly tolerant?: boolean | undefined
  /** Gets the entries in place of {@link TarToc.entries}, and their content. */
  readonly visitor?: TarVisitor | undefined
}

type State = 'header' | 'second-zero' | 'sparse' | 'body' | 'content' | 'padding' | 'end'

/** The states that are left once a whole block is there. */
const WAITING: ReadonlySet<State> = new Set(['header', 'second-zero', 'sparse'])

/**
 * Reads a tar that is pushed in pieces of any size, with exactly the semantics of Go's archive/tar.
 * Throws `INTEGRITY` for a broken tar, `UNSUPPORTED` for entries that a zTOC cannot hold.
 */
export class TarToc {
  readonly entries: TocEntry[] = []
  readonly #keepLinkSizes: boolean
  readonly #isTolerant: boolean
  readonly #block = new Uint8Array(BLOCK_SIZE)
  #filled = 0
  #state: State = 'header'
  #position: number
  /** Bytes left of the content, padding or body. */
  #left = 0
  #padding = 0
  #bodyFlag = ''
  #body = new Uint8Array()
  #pax: ReadonlyMap<ByteText, ByteText> = NO_RECORDS
  #longName: ByteText | undefined
  #longLink: ByteText | undefined
  readonly #budget = new TocBudget()
  readonly #visitor: TarVisitor | undefined
  /** The content that passes is of an entry that the visitor has. */
  #isVisited = false
  /** A sparse file whose map continues in blocks of its own. */
  #sparse: TarHeader | undefined

  constructor(options: TarTocOptions = {}) {
    const { position = 0, keepLinkSizes = false, tolerant = false, visitor } = options
    this.#visitor = visitor
    this.#position = position
    this.#keepLinkSizes = keepLinkSizes
    this.#isTolerant = tolerant
  }

  /** How far the tar was read: its end once the end was seen (bytes). */
  get position(): number {
    return this.#position
  }

  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && this.#state !== 'end') {
      const waiting = WAITING.has(this.#state)
      const wanted = waiting ? BLOCK_SIZE - this.#filled : this.#left
      const length = Math.min(wanted, chunk.length - at)
      this.#position += length
      if (waiting) this.#fill(chunk.subarray(at, at + length))
      else this.#pass(chunk, at, length)
      at += length
    }
  }

  /** Says that no more comes. Throws `INTEGRITY` when the tar breaks off where it must not. */
  finish(): void {
    const breaksOff = this.#state === 'content' || this.#state === 'body' || this.#filled > 0
    if (breaksOff) throw invalidHeader('it ends in the middle of an entry')
    this.#state = 'end'
  }

  #fill(bytes: Uint8Array): void {
    // A block that lies in one piece is read where it lies.
    if (bytes.length === BLOCK_SIZE) {
      this.#take(bytes)
      return
    }
    this.#block.set(bytes, this.#filled)
    this.#filled += bytes.length
    if (this.#filled < BLOCK_SIZE) return
    this.#filled = 0
    this.#take(this.#block)
  }

  #take(block: Uint8Array): void {
    if (this.#state === 'sparse') {
      this.#sparseMap(block, SPARSE_MAP_CONTINUES)
      return
    }
    if (isZero(block)) {
      this.#state = this.#state === 'header' ? 'second-zero' : 'end'
      return
    }
    if (this.#state === 'second-zero') throw invalidHeader('something follows a zero block')
    this.#header(parseTarHeader(block), block)
  }

  #pass(chunk: Uint8Array, at: number, length: number): void {
    if (this.#isVisited && this.#state === 'content') {
      this.#visitor?.content(chunk.subarray(at, at + length))
    }
    if (this.#state === 'body') {
      this.#body.set(chunk.subarray(at, at + length), this.#body.length - this.#left)
    }
    this.#left -= length
    if (this.#left === 0) this.#passed()
  }

  /** All that was expected has passed. */
  #passed(): void {
    if (this.#state === 'body') this.#special()
    if (this.#state !== 'padding' && this.#padding > 0) {
      this.#state = 'padding'
      this.#left = this.#padding
    } else {
      this.#state = 'header'
    }
  }

  #header(header: TarHeader, block: Uint8Array): void {
    switch (header.flag) {
      case 'x':
      case 'L':
      case 'K':
        this.#startBody(header)
        break
      case 'g':
        if (!this.#isTolerant) throw unsupported('a PAX global header')
        this.#startBody(header)
        break
      case 'S':
        if (!this.#isTolerant) throw unsupported(`a sparse file (${decodeText(header.name)})`)
        this.#sparse = header
        this.#sparseMap(block, SPARSE_HEADER_CONTINUES)
        break
      default:
        this.#entry(header)
    }
  }

  /** `at` is where a block of GNU's old form says whether another one of the map follows. */
  #sparseMap(block: Uint8Array, at: number): void {
    this.#state = 'sparse'
    if (block[at] !== 0 || !this.#sparse) return
    const header = this.#sparse
    this.#sparse = undefined
    this.#entry(header)
  }

  #startBody({ flag, size }: TarHeader): void {
    if (size < 0n) throw invalidHeader('a header has a negative size')
    if (size > MAX_SPECIAL_BODY) throw invalidHeader('a PAX or long-name header is over 1 MiB')
    // What no entry follows is counted too: a long name, and global records.
    this.#budget.add(flag === 'x' ? 0 : Number(size))
    this.#bodyFlag = flag
    this.#body = new Uint8Array(Number(size))
    this.#expect('body', Number(size))
  }

  #special(): void {
    if (this.#bodyFlag === 'x') {
      // Each record costs time, whether or not an entry follows that keeps it.
      this.#pax = parsePax(this.#body, (bytes) => this.#budget.addRecord(bytes))
    } else if (this.#bodyFlag === 'L') this.#longName = cString(this.#body)
    else if (this.#bodyFlag === 'K') this.#longLink = cString(this.#body)
    this.#body = new Uint8Array()
  }

  #entry(header: TarHeader): void {
    const pax = this.#pax
    const isSparse = header.flag === 'S' || isSparsePax(pax)
    if (isSparse && !this.#isTolerant) throw unsupported('a sparse file')
    const realName = isSparse ? value(pax, 'GNU.sparse.name') : undefined
    const name = realName ?? (this.#longName || value(pax, 'path') || header.name)
    const flag = header.flag === '\0' ? (name.endsWith('/') ? '5' : '0') : header.flag
    const type = ENTRY_TYPES[flag] ?? (this.#isTolerant ? TOLERATED[flag] : undefined)
    if (!type && !this.#isTolerant) {
      throw unsupported(`an entry of type ${JSON.stringify(flag)} (${decodeText(name)})`)
    }
    this.#budget.addEntry(name, this.#longLink ?? header.linkname)
    const size = exact(integer(pax, 'size') ?? header.size, 'size')
    const content = type === 'reg' || !type ? size : 0
    if (content < 0 || (header.size < 0n && !LINK_FLAG.test(header.flag))) {
      throw invalidHeader(`${decodeText(name)} has a negative size`)
    }
    const time = timesOf(pax) ?? { seconds: header.mtime, nanoseconds: 0 }
    if (type)
      this.#add({
        name,
        type,
        offset: this.#position,
        size: this.#keepLinkSizes ? size : content,
        linkname: this.#longLink || value(pax, 'linkpath') || header.linkname,
        mode: exact(header.mode, 'mode'),
        uid: Number(BigInt.asUintN(32, integer(pax, 'uid') ?? header.uid)),
        gid: Number(BigInt.asUintN(32, integer(pax, 'gid') ?? header.gid)),
        uname: value(pax, 'uname') ?? header.uname,
        gname: value(pax, 'gname') ?? header.gname,
        modTime: formatTarTime(time),
        devMajor: exact(header.devMajor, 'device number'),
        devMinor: exact(header.devMinor, 'device number'),
        paxRecords: pax,
        ...(isSparse ? { isSparse } : {}),
      })
    this.#isVisited = type !== undefined && this.#visitor !== undefined
    this.#pax = NO_RECORDS
    this.#longName = undefined
    this.#longLink = undefined
    this.#expect('content', content)
  }

  #add(entry: TocEntry): void {
    if (this.#visitor) this.#visitor.entry(entry)
    else this.entries.push(entry)
  }

  #expect(state: 'body' | 'content', length: number): void {
    this.#state = state
    this.#left = length
    this.#padding = (BLOCK_SIZE - (length % BLOCK_SIZE)) % BLOCK_SIZE
    if (length === 0) this.#passed()
  }
}

function isZero(block: Uint8Array): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0)
}

/** An empty value leaves the header's in force. `key` is ASCII. */
function value(pax: ReadonlyMap<ByteText, ByteText>, key: string): ByteText | undefined {
  return pax.get(key as ByteText) || undefined
}

function integer(pax: ReadonlyMap<ByteText, ByteText>, key: string): bigint | undefined {
  const text = value(pax, key)
  return text === undefined ? undefined : parsePaxInteger(text)
}

/** The modification time; the other two only must be well-formed, as in Go. */
function timesOf(pax: ReadonlyMap<ByteText, ByteText>): TarTime | undefined {
  if (pax.size === 0) return undefined
  const [mtime] = ['mtime', 'atime', 'ctime'].map((key) => {
    const text = value(pax, key)
    return text === undefined ? undefined : parsePaxTime(text)
  })
  return mtime
}

/** The original records a size that is not the stored one, and every later entry is then refused. */
function isSparsePax(pax: ReadonlyMap<ByteText, ByteText>): boolean {
  if (pax.size === 0) return false
  return ['GNU.sparse.major', 'GNU.sparse.minor', 'GNU.sparse.map'].some(
    (key) => value(pax, key) !== undefined,
  )
}

function exact(number: bigint, what: string): number {
  if (number > Number.MAX_SAFE_INTEGER || number < Number.MIN_SAFE_INTEGER) {
    throw invalidHeader(`a ${what} of ${number} is out of range`)
  }
  return Number(number)
}
