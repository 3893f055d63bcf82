import type { ByteText } from './byte-text.ts'

/** What an entry is, in the words of the zTOC. */
export type EntryType = 'reg' | 'hardlink' | 'symlink' | 'dir' | 'char' | 'block' | 'fifo'

const ENTRY_TYPES: ReadonlySet<string> = new Set<EntryType>([
  'reg',
  'hardlink',
  'symlink',
  'dir',
  'char',
  'block',
  'fifo',
])

export function isEntryType(text: string): text is EntryType {
  return ENTRY_TYPES.has(text)
}

/** One entry of a layer's tar: its metadata as Go's archive/tar reads it, and where its content is. */
export interface TocEntry {
  /** As in the tar: `./bin/`, with nothing cleaned. */
  readonly name: ByteText
  readonly type: EntryType
  /** Where the content starts in the tar (bytes). */
  readonly offset: number
  /** Bytes of content. */
  readonly size: number
  readonly linkname: ByteText
  /** The tar's mode field: permissions, set-id and sticky bits, and all other bits of it. */
  readonly mode: number
  /** 32 bits, unsigned. */
  readonly uid: number
  readonly gid: number
  readonly uname: ByteText
  readonly gname: ByteText
  /** RFC 3339 with up to nine digits of fraction, in UTC when built here; empty past year 9999. */
  readonly modTime: string
  readonly devMajor: number
  readonly devMinor: number
  /** Every PAX record, by key in byte order. */
  readonly paxRecords: ReadonlyMap<ByteText, ByteText>
  /** Of a file with holes: its content in the tar is not the file's. Never in a zTOC. */
  readonly isSparse?: true
}

/** The prefix of the PAX records that are extended attributes. */
export const XATTR_PREFIX = 'SCHILY.xattr.'
