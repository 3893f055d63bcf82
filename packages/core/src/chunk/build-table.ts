import { type ErrorCode, isS3loError } from '../errors.ts'
import { Digester, digestOf } from '../oci/digest.ts'
import { TarToc, type TarVisitor } from '../tar/tar-toc.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { encodeFrame } from './frame.ts'
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
  readonly hash: FileHash | undefined
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

  /** Takes the next bytes of the content. */
  async push(bytes: Uint8Array): Promise<void> {
    if (!this.#hasTable) return
    this.#try(() => this.#toc.push(bytes))
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
    this.#rows.push({ entry, headers, hash: isHashed ? new FileHash(entry.size) : undefined })
    this.#waiting += LINE_BYTES + entry.name.length + entry.linkname.length
    this.#entries += 1
    this.#end = endOfEntry(entry)
  }

  /** For the reader of the tar. */
  content(bytes: Uint8Array): void {
    const pooled = this.#rows.at(-1)?.hash?.update(bytes)
    if (pooled) this.#started.push(pooled)
  }

  /** There will be no table. */
  giveUp(): void {
    this.#hasTable = false
    this.#rows = []
    this.#frames = []
  }

  async #compress(rows: readonly Row[]): Promise<void> {
    this.#waiting = 0
    if (rows.length === 0) return
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

/** The sha256 of bytes, a copy of which is hashed. */
async function digestInPool(bytes: Uint8Array): Promise<string> {
  const { subtle } = process.getBuiltinModule('node:crypto')
  const hash = await subtle.digest('SHA-256', bytes)
  return `sha256:${Buffer.from(hash).toString('hex')}`
}
