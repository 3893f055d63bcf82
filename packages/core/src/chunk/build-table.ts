import { type ErrorCode, isS3loError } from '../errors.ts'
import { Digester, digestInPool, digestOf } from '../oci/digest.ts'
import { TarToc, type TarVisitor } from '../tar/tar-toc.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { encodeFrame } from './frame.ts'
import type { ChunkHashes, FilePart, HashThread } from './hash-thread.ts'
import {
  formatTableHead,
  MAX_LINE_BYTES,
  MAX_TABLE_BYTES,
  MAX_TABLE_TEXT,
  type TableSubject,
} from './layer-table.ts'
import { endOfEntry, formatTableEntry, MAX_ENTRY_HEADERS } from './table-entry.ts'

/** Text that is compressed at once, as far as is known beforehand (bytes). */
const FRAME_TEXT = 1024 * 1024

/** What a line has beside its names (bytes). */
const LINE_BYTES = 256

/** A file of this length and more that lies in one piece is hashed on a thread of Node's pool (bytes). */
const POOLED_BYTES = 64 * 1024

/** What makes a layer one without a table. */
const TAR_FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED'])

/** An entry on its way to its line. */
interface Row {
  readonly entry: TocEntry
  readonly headers: number
  /** Of the content of a file that is not sparse. */
  readonly hash: FileHash | ThreadedHash | undefined
}

/**
 * Makes the table of a layer of its content while that passes. What is no tar, or has more metadata than
 * a table may have, has none. Memory is bounded: what is written of the entries waits compressed, and
 * files that are hashed beside are those of two pieces.
 */
export class TableBuilder implements TarVisitor {
  readonly #toc = new TarToc({ tolerant: true, visitor: this })
  #hasTable = true
  /** The last one may still get content. */
  #rows: Row[] = []
  #entries = 0
  /** Where the entry before ends in the tar (bytes). */
  #end = 0
  /** Bytes of the lines that wait, about; and of those that were compressed. */
  #waiting = 0
  #text = 0
  #frames: Uint8Array[] = []
  #stored = 0
  /** Of the present piece, and of the one before. */
  #started: Promise<unknown>[] = []
  #before: readonly Promise<unknown>[] = []
  readonly #thread: HashThread | undefined
  /** Where the present piece begins in its memory. */
  #base = 0
  /** Of the present piece: what the thread is to hash, and what gets its answers. */
  #parts: FilePart[] = []
  #ended: ThreadedHash[] = []
  /** The thread's answer for the last piece. */
  #hashes: Promise<ChunkHashes> | undefined

  /** @param thread Hashes what is pushed, which is in shared memory and not changed before it has. */
  constructor(thread?: HashThread) {
    this.#thread = thread
  }

  /** Of the last piece: its digest, where a thread hashes. */
  digest(): Promise<string> | undefined {
    const digest = this.#hashes?.then(({ chunk }) => chunk)
    // What needs it gets the failure.
    digest?.catch(() => undefined)
    return digest
  }

  /** Takes the next bytes of the content. */
  async push(bytes: Uint8Array): Promise<void> {
    this.#base = bytes.byteOffset
    if (this.#hasTable) this.#try(() => this.#toc.push(bytes))
    if (this.#thread) this.#ask(this.#thread, bytes)
    if (!this.#hasTable) return
    await Promise.all(this.#before)
    this.#before = this.#started
    this.#started = []
    if (this.#waiting >= FRAME_TEXT)
      await this.#compress(this.#rows.splice(0, this.#rows.length - 1))
  }

  /** The table as it is stored, once all of the content was taken; `undefined` for a layer that has none. */
  async finish(subject: TableSubject): Promise<Uint8Array | undefined> {
    this.#try(() => this.#toc.finish())
    await this.#compress(this.#rows.splice(0))
    const head = await encodeFrame(Buffer.from(formatTableHead(subject, this.#entries)))
    this.#stored += head.length
    if (!this.#hasTable || this.#stored > MAX_TABLE_BYTES) return undefined
    return Buffer.concat([head, ...this.#frames])
  }

  /** For the reader of the tar. */
  entry(entry: TocEntry): void {
    const headers = entry.offset - this.#end
    if (headers > MAX_ENTRY_HEADERS) this.giveUp()
    if (!this.#hasTable) return
    const isHashed = entry.type === 'reg' && !entry.isSparse
    const Hash = this.#thread ? ThreadedHash : FileHash
    this.#rows.push({ entry, headers, hash: isHashed ? new Hash(entry.size) : undefined })
    this.#waiting += LINE_BYTES + entry.name.length + entry.linkname.length
    this.#entries += 1
    this.#end = endOfEntry(entry)
  }

  /** For the reader of the tar. */
  content(bytes: Uint8Array): void {
    const hash = this.#rows.at(-1)?.hash
    if (hash instanceof ThreadedHash) {
      const part = hash.take(bytes.byteOffset - this.#base, bytes.length)
      this.#parts.push(part)
      if (part.isLast) this.#ended.push(hash)
      return
    }
    const pooled = hash?.update(bytes)
    if (pooled) this.#started.push(pooled)
  }

  /** There will be no table. */
  giveUp(): void {
    this.#hasTable = false
    this.#rows = []
    this.#frames = []
  }

  #ask(thread: HashThread, bytes: Uint8Array): void {
    const ended = this.#ended
    const asked = thread.hash(bytes, this.#parts)
    this.#parts = []
    this.#ended = []
    this.#hashes = asked.then((hashes) => {
      for (const [i, hash] of ended.entries()) hash.end(hashes.files[i])
      return hashes
    })
    // What needs it gets the failure.
    this.#hashes.catch(() => undefined)
  }

  async #compress(rows: readonly Row[]): Promise<void> {
    this.#waiting = 0
    if (rows.length === 0) return
    await this.#hashes
    const lines: string[] = []
    for (const { entry, headers, hash } of rows) {
      lines.push(`${formatTableEntry(entry, { headers, digest: await hash?.digest() })}\n`)
    }
    const text = Buffer.from(lines.join(''))
    this.#text += text.length
    // A copy: what waits does not keep the memory that the frame was made in, which is as long as its text.
    const frame = new Uint8Array(await encodeFrame(text))
    this.#frames.push(frame)
    this.#stored += frame.length
    const isTooLong = this.#text > MAX_TABLE_TEXT || this.#stored > MAX_TABLE_BYTES
    if (isTooLong || lines.some((line) => Buffer.byteLength(line) > MAX_LINE_BYTES)) this.giveUp()
  }

  #try(read: () => void): void {
    try {
      read()
    } catch (error) {
      if (!isS3loError(error) || !TAR_FAULTS.has(error.code)) throw error
      this.giveUp()
    }
  }
}

/** Hashes a file as it comes. */
class FileHash {
  readonly #size: number
  /** Of one that comes in several pieces. */
  #digester: Digester | undefined
  /** Of one that came in one piece. */
  #digest: Promise<string> | string | undefined

  /** @param size Of all of it (bytes). */
  constructor(size: number) {
    this.#size = size
  }

  /** What it gives ends once the bytes are no longer held. */
  update(bytes: Uint8Array): Promise<string> | undefined {
    if (bytes.length === this.#size) {
      const pooled = bytes.length < POOLED_BYTES ? undefined : digestInPool(bytes)
      this.#digest = pooled ?? digestOf(bytes)
      return pooled
    }
    this.#digester ??= new Digester()
    this.#digester.update(bytes)
    return undefined
  }

  /** To be called once. */
  digest(): Promise<string> | string {
    return this.#digest ?? (this.#digester ?? new Digester()).digest()
  }
}

/** The hash of a file that a thread makes. */
class ThreadedHash {
  readonly #size: number
  #taken = 0
  #digest: string | undefined

  /** @param size Of all of it (bytes). */
  constructor(size: number) {
    this.#size = size
  }

  /** The next bytes, which begin at `start` of the present piece. */
  take(start: number, length: number): FilePart {
    const isFirst = this.#taken === 0
    this.#taken += length
    return { start, end: start + length, isFirst, isLast: this.#taken === this.#size }
  }

  end(digest: string | undefined): void {
    this.#digest = digest
  }

  /** Of a file without bytes the thread hears nothing. */
  digest(): string {
    return this.#digest ?? digestOf(new Uint8Array())
  }
}
