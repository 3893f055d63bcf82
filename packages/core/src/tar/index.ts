/** What the entry `@s3lo/core/tar` offers: tars, read as Go's archive/tar reads them. */
export { bytesOf, type ByteText, byteText, decodeText, encodeText } from './byte-text.ts'
export { parsePax } from './pax.ts'
export {
  BLOCK_SIZE,
  cString,
  hasTarChecksum,
  parseTarHeader,
  type TarHeader,
} from './tar-header.ts'
export { TarToc, type TarTocOptions } from './tar-toc.ts'
export { type EntryType, isEntryType, type TocEntry, XATTR_PREFIX } from './toc-entry.ts'
