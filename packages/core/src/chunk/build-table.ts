import { type ErrorCode, isS3loError } from '../errors.ts'
import { Digester } from '../oci/digest.ts'
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

/** Text that is compressed at once (bytes). */
const FRAME_TEXT = 1024 * 1024

/** What makes a layer one without a table. */
const TAR_FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED'])

/** An entry whose content may still come. */
interface OpenEntry {
  readonly entry: TocEntry
  readonly headers: number
  /** Of the content of a file that is not sparse. */
  readonly digester: Digester | undefined
}

/**
 * Makes the table of a layer of its content while that passes. What is no tar, or has more metadata than
 * a table may have, has none. Memory is bounded: what is written of the entries waits compressed.
 */
export class TableBuilder implements TarVisitor {
  readonly #toc = new TarToc({ tolerant: true, visitor: this })
  #hasTable = true
  #open: OpenEntry | undefined
  #entries = 0
  /** Where the entry before ends in the tar (bytes). */
  #end = 0
  #lines: string[] = []
  /** Bytes of the lines that wait, and of all of them. */
  #waiting = 0
  #text = 0
  #frames: Uint8Array[] = []
  #stored = 0

  /** Takes the next bytes of the content. */
  async push(bytes: Uint8Array): Promise<void> {
    if (!this.#hasTable) return
    this.#try(() => this.#toc.push(bytes))
    if (this.#waiting >= FRAME_TEXT) await this.#compress()
  }

  /** The table as it is stored, once all of the content was taken; `undefined` for a layer that has none. */
  async finish(subject: TableSubject): Promise<Uint8Array | undefined> {
    this.#try(() => this.#toc.finish())
    this.#close()
    await this.#compress()
    const head = await encodeFrame(Buffer.from(formatTableHead(subject, this.#entries)))
    this.#stored += head.length
    if (!this.#hasTable || this.#stored > MAX_TABLE_BYTES) return undefined
    return Buffer.concat([head, ...this.#frames])
  }

  /** For the reader of the tar. */
  entry(entry: TocEntry): void {
    this.#close()
    if (!this.#hasTable) return
    const isHashed = entry.type === 'reg' && !entry.isSparse
    const digester = isHashed ? new Digester() : undefined
    this.#open = { entry, headers: entry.offset - this.#end, digester }
    this.#end = endOfEntry(entry)
  }

  /** For the reader of the tar. */
  content(bytes: Uint8Array): void {
    this.#open?.digester?.update(bytes)
  }

  #close(): void {
    const open = this.#open
    this.#open = undefined
    if (!open) return
    const { entry, headers } = open
    const line = `${formatTableEntry(entry, { headers, digest: open.digester?.digest() })}\n`
    const length = Buffer.byteLength(line)
    this.#entries += 1
    this.#waiting += length
    this.#text += length
    if (length > MAX_LINE_BYTES || headers > MAX_ENTRY_HEADERS) this.giveUp()
    else if (this.#text > MAX_TABLE_TEXT) this.giveUp()
    else this.#lines.push(line)
  }

  async #compress(): Promise<void> {
    if (this.#lines.length === 0) return
    const text = Buffer.from(this.#lines.join(''))
    this.#lines = []
    this.#waiting = 0
    const frame = await encodeFrame(text)
    this.#frames.push(frame)
    this.#stored += frame.length
    if (this.#stored > MAX_TABLE_BYTES) this.giveUp()
  }

  #try(read: () => void): void {
    try {
      read()
    } catch (error) {
      if (!isS3loError(error) || !TAR_FAULTS.has(error.code)) throw error
      this.giveUp()
    }
  }

  /** There will be no table. */
  giveUp(): void {
    this.#hasTable = false
    this.#lines = []
    this.#frames = []
    this.#open = undefined
  }
}
