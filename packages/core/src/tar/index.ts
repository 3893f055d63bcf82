/** What the entry `@s3lo/core/tar` offers: tars of layers, read as Go's archive/tar reads them. */
export { bytesOf, type ByteText, byteText, decodeText, encodeText } from './byte-text.ts'
export { BLOCK_SIZE } from './tar-header.ts'
export { TarToc, type TarTocOptions } from './tar-toc.ts'
export { type EntryType, type TocEntry, XATTR_PREFIX } from './toc-entry.ts'
