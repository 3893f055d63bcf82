import { S3loError } from '../errors.ts'
import type { ByteText } from './byte-text.ts'

/** More metadata than this is refused, so that no layer can exhaust memory (bytes). */
const MAX_TOC_BYTES = 256 * 1024 * 1024

/** What an entry costs beside its texts. */
const ENTRY_BYTES = 256

/** What a PAX record costs beside its texts. */
const RECORD_BYTES = 64

/** Counts what the metadata of one layer costs. */
export class TocBudget {
  #bytes = 0

  addEntry(name: ByteText, linkname: ByteText): void {
    this.add(ENTRY_BYTES + name.length + linkname.length)
  }

  /** `bytes`: of its texts. */
  addRecord(bytes: number): void {
    this.add(RECORD_BYTES + bytes)
  }

  /** Throws `UNSUPPORTED` past {@link MAX_TOC_BYTES}. */
  add(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes <= MAX_TOC_BYTES) return
    throw unsupported(`over ${MAX_TOC_BYTES} bytes of metadata`)
  }
}

/** For a tar that is valid, and has what is not read here. */
export function unsupported(what: string): S3loError {
  return new S3loError(
    'UNSUPPORTED',
    `the layer's tar has ${what}, which no table of contents can describe`,
  )
}
