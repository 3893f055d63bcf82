import { Readable } from 'node:stream'
import { S3loError } from '../errors.ts'
import { layerTableKey } from '../layout/chunk-keys.ts'
import { Digester } from '../oci/digest.ts'
import { asObject, asSize, parseJson, parseStrictJson } from '../oci/json.ts'
import { decompress } from '../stream/decompress.ts'
import { TocBudget } from '../tar/toc-budget.ts'
import { hexOf, readSized, type SizedDigest } from './sized-digest.ts'
import { endOfEntry, formatTableEntry, parseTableEntry, type TableEntry } from './table-entry.ts'

/** A larger table is neither written nor read (bytes, compressed): this one would be of a million files. */
export const MAX_TABLE_BYTES = 64 * 1024 * 1024

/** The longest text of a table (bytes). */
export const MAX_TABLE_TEXT = 256 * 1024 * 1024

/** The longest line of it (bytes). */
export const MAX_LINE_BYTES = 64 * 1024

/** The version of the document. */
const VERSION = 1

const NEWLINE = 0x0a

/** The longest name of a user or group that a tar header has room for (bytes). */
const MAX_HEADER_NAME = 32

/** Which layer a table is of. */
export interface TableSubject {
  /** The blob. */
  readonly layer: SizedDigest
  /** What it decodes to: the tar. */
  readonly content: SizedDigest
}

/**
 * What a layer holds, in the order of its tar. As it is stored, it is zstd of lines of JSON: one about
 * the layer, then one for each entry.
 */
export interface LayerTable extends TableSubject {
  readonly entries: readonly TableEntry[]
}

/** The first line, with its end. */
export function formatTableHead({ layer, content }: TableSubject, entries: number): string {
  const head = {
    v: VERSION,
    layer: hexOf(layer.digest),
    size: layer.size,
    content: hexOf(content.digest),
    contentSize: content.size,
    entries,
  }
  return `${JSON.stringify(head)}\n`
}

/**
 * Reads the stored table of the layer with that digest. Throws `INTEGRITY` for one
 * that is damaged, of another layer or version, or contradicts itself, and `UNSUPPORTED` for one that
 * takes too much memory. Whether it tells the truth, only the layer does.
 */
export async function parseLayerTable(stored: Uint8Array, digest: string): Promise<LayerTable> {
  const key = layerTableKey(digest)
  const lines = linesOf(decompress(Readable.from([stored]), 'zstd', key), key)
  let head: TableHead | undefined
  let entries: Entries | undefined
  for await (const line of lines) {
    if (entries) entries.add(line)
    else {
      head = parseHead(line, digest, key)
      entries = new Entries(head, key)
    }
  }
  if (!head || !entries) throw empty(key)
  return { layer: head.layer, content: head.content, entries: entries.all() }
}

/** What the beginning of a stored table says: see {@link parseLayerTable}. */
export async function parseTableHead(stored: Uint8Array, digest: string): Promise<TableSubject> {
  const key = layerTableKey(digest)
  for await (const line of linesOf(decompress(Readable.from([stored]), 'zstd', key), key)) {
    return parseHead(line, digest, key)
  }
  throw empty(key)
}

/** Alike for tables that say the same. */
export function digestOfTable({ layer, content, entries }: LayerTable): string {
  const digester = new Digester()
  digester.update(Buffer.from(formatTableHead({ layer, content }, entries.length)))
  for (const entry of entries) digester.update(Buffer.from(formatTableEntry(entry, entry)))
  return digester.digest()
}

interface TableHead extends TableSubject {
  readonly count: number
}

function empty(key: string): S3loError {
  return new S3loError('INTEGRITY', `${key} is empty`)
}

function parseHead(line: Uint8Array, digest: string, key: string): TableHead {
  const document = asObject(parseStrictJson(line, key), key)
  if (document['v'] !== VERSION) {
    throw new S3loError('INTEGRITY', `${key}.v: expected ${VERSION}`)
  }
  const layer = readSized(document, 'layer', 'size', key)
  if (layer.digest !== digest) {
    throw new S3loError('INTEGRITY', `${key}: expected the table of ${digest}, got ${layer.digest}`)
  }
  const content = readSized(document, 'content', 'contentSize', key)
  return { layer, content, count: asSize(document['entries'], `${key}.entries`) }
}

/** The entries of a table: each begins where the one before ends, and the content has room for all. */
class Entries {
  readonly #head: TableHead
  readonly #key: string
  readonly #budget = new TocBudget()
  readonly #entries: TableEntry[] = []
  #end = 0

  constructor(head: TableHead, key: string) {
    this.#head = head
    this.#key = key
  }

  add(line: Uint8Array): void {
    const path = `${this.#key}:${this.#entries.length + 2}`
    const entry = parseTableEntry(parseJson(line, path), path)
    const { name, linkname, offset, headers, size } = entry
    this.#budget.addEntry(name, linkname)
    for (const [key, value] of entry.paxRecords) this.#budget.addRecord(key.length + value.length)
    for (const text of [entry.uname, entry.gname]) {
      // A longer one is a PAX record in the tar.
      if (text.length > MAX_HEADER_NAME) this.#budget.addRecord(text.length)
    }
    const expected = this.#end + headers
    if (offset !== expected) {
      throw new S3loError('INTEGRITY', `${path}.offset: expected ${expected}, got ${offset}`)
    }
    if (offset + size > this.#head.content.size) {
      throw new S3loError('INTEGRITY', `${path}.size is more than the layer holds`)
    }
    this.#end = endOfEntry(entry)
    this.#entries.push(entry)
  }

  all(): readonly TableEntry[] {
    const { length } = this.#entries
    if (length === this.#head.count) return this.#entries
    const expected = `expected ${this.#head.count} entries`
    throw new S3loError('INTEGRITY', `${this.#key}: ${expected}, got ${length}`)
  }
}

/** Without their ends. Throws `INTEGRITY` for a text or line that is too long, or ends within a line. */
async function* linesOf(
  text: AsyncIterable<Uint8Array>,
  key: string,
): AsyncGenerator<Uint8Array, void> {
  let rest: Uint8Array = new Uint8Array()
  let total = 0
  for await (const bytes of text) {
    total += bytes.length
    const buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    let start = 0
    for (let end = buffer.indexOf(NEWLINE); end >= 0; end = buffer.indexOf(NEWLINE, start)) {
      yield buffer.subarray(start, end)
      start = end + 1
    }
    rest = buffer.subarray(start)
    if (rest.length > MAX_LINE_BYTES || total > MAX_TABLE_TEXT) {
      throw new S3loError('INTEGRITY', `${key} is too long`)
    }
  }
  if (rest.length > 0) throw new S3loError('INTEGRITY', `${key} ends within a line`)
}
