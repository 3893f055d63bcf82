import { isSameEntry, type TableEntry } from '../chunk/table-entry.ts'
import type { LayerTable } from '../chunk/layer-table.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { PlainLayer } from '../contract/image-source.ts'
import type { LayerReader } from '../contract/layer-reader.ts'
import { S3loError } from '../errors.ts'
import { Digester } from '../oci/digest.ts'
import { decodeText } from '../tar/byte-text.ts'
import { TarToc } from '../tar/tar-toc.ts'
import type { TocEntry } from '../tar/toc-entry.ts'

/** Finds the content of the layer. */
export type OpenContent = (options: CallOptions) => Promise<PlainLayer | undefined>

/**
 * Reads a layer by its table: a listing reads nothing else. Of a file, the chunks that hold it are read with
 * its headers, which have to say what the table says, and its bytes have to be those that it names.
 */
export class TableLayer implements LayerReader {
  readonly entries: readonly TableEntry[]
  readonly #table: LayerTable
  readonly #open: OpenContent

  constructor(table: LayerTable, open: OpenContent) {
    this.entries = table.entries
    this.#table = table
    this.#open = open
  }

  async *read(wanted: TocEntry, options: CallOptions = {}): AsyncGenerator<Uint8Array> {
    const entry = this.entries.find((each) => each === wanted)
    if (!entry) throw new S3loError('INTERNAL', 'an entry of another layer')
    const content = await this.#content(options)
    const start = entry.offset - entry.headers
    const range = { start, end: entry.offset + entry.size }
    const body = await content.open({ ...options, range })
    const digester = new Digester()
    let left = entry.size
    for await (const bytes of behindHeaders(body as AsyncIterable<Uint8Array>, entry)) {
      digester.update(bytes)
      left -= bytes.length
      yield bytes
    }
    if (left !== 0 || digester.digest() !== entry.digest) throw mismatch(entry)
  }

  async #content(options: CallOptions): Promise<PlainLayer> {
    const { layer, content } = this.#table
    const found = await this.#open(options)
    if (found?.digest === content.digest && found.size === content.size) return found
    throw new S3loError(
      'INTEGRITY',
      `the table of layer ${layer.digest} is of another content than the layer's`,
    )
  }
}

/** What follows the headers of an entry, once they have turned out to be those of the entry. */
async function* behindHeaders(
  body: AsyncIterable<Uint8Array>,
  entry: TableEntry,
): AsyncGenerator<Uint8Array> {
  const headers = new TarToc({ position: entry.offset - entry.headers, tolerant: true })
  let left = entry.headers
  for await (const bytes of body) {
    const length = Math.min(left, bytes.length)
    if (left > 0) {
      headers.push(bytes.subarray(0, length))
      left -= length
      if (left === 0) compare(headers, entry)
    }
    if (length < bytes.length) yield bytes.subarray(length)
  }
}

function compare({ entries }: TarToc, entry: TableEntry): void {
  const [found, ...others] = entries
  if (!found || others.length > 0 || !isSameEntry(found, entry)) throw mismatch(entry)
}

function mismatch({ name }: Pick<TocEntry, 'name'>): S3loError {
  const text = JSON.stringify(decodeText(name).slice(0, 200))
  return new S3loError('INTEGRITY', `the table's entry ${text} is not what the layer holds`)
}
