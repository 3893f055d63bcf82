import { S3loError } from '@s3lo/core/plugin'
import { Builder } from 'flatbuffers'
import {
  bytesOf,
  type ByteText,
  decodeText,
  type EntryType,
  isEntryType,
  type TocEntry,
} from '@s3lo/core/tar'
import { FlatReader, type FlatTable } from './flat-reader.ts'

/** The only version there ever was. */
export const ZTOC_VERSION = '0.9'

export type CompressionAlgorithm = 'gzip' | 'uncompressed'

/** A zTOC: the table of contents of a layer and where in it reading can start. */
export interface Ztoc {
  readonly version: string
  readonly buildToolIdentifier: string
  /** Bytes of the layer blob. */
  readonly compressedSize: number
  /** Bytes of the tar up to its end marker. */
  readonly uncompressedSize: number
  readonly entries: readonly TocEntry[]
  readonly algorithm: CompressionAlgorithm
  /** The number of spans less one. */
  readonly maxSpanId: number
  /** `sha256:…` of each span's compressed bytes. */
  readonly spanDigests: readonly string[]
  /** The zinfo, opaque here. */
  readonly checkpoints: Uint8Array
}

/** As the file format spells them. */
const ALGORITHM_CODE = { gzip: 1, uncompressed: 2 } as const

/** What an entry takes beside its texts, and a record or digest beside its own: at most (bytes). */
const ENTRY_BYTES = 240
const RECORD_BYTES = 48
const DIGEST_BYTES = 90

/**
 * The bytes of a zTOC, identical to the original's for identical content. The buffer grows
 * downwards, so the order in which things are made here decides the bytes.
 */
export function encodeZtoc(ztoc: Ztoc): Uint8Array {
  const builder = new Builder(roomFor(ztoc))
  const version = builder.createString(ztoc.version)
  const tool = builder.createString(ztoc.buildToolIdentifier)
  const toc = addToc(builder, ztoc.entries)
  const compression = addCompression(builder, ztoc)
  builder.startObject(6)
  builder.addFieldOffset(0, version, 0)
  builder.addFieldOffset(1, tool, 0)
  builder.addFieldOffset(4, toc, 0)
  builder.addFieldInt64(2, BigInt(ztoc.compressedSize), 0n)
  builder.addFieldInt64(3, BigInt(ztoc.uncompressedSize), 0n)
  builder.addFieldOffset(5, compression, 0)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

/** Enough for all of it, as a buffer that grows is twice as large, and there is the old one as well. */
function roomFor({ checkpoints, entries, spanDigests }: Ztoc): number {
  let size = 1024 + checkpoints.length + DIGEST_BYTES * spanDigests.length
  for (const { name, linkname, uname, gname, paxRecords } of entries) {
    size += ENTRY_BYTES + name.length + linkname.length + uname.length + gname.length
    for (const [key, value] of paxRecords) size += RECORD_BYTES + key.length + value.length
  }
  return size
}

function addToc(builder: Builder, entries: readonly TocEntry[]): number {
  const offsets = entries.toReversed().map((entry) => addEntry(builder, entry))
  const vector = addOffsets(builder, offsets.toReversed())
  builder.startObject(1)
  builder.addFieldOffset(0, vector, 0)
  return builder.endObject()
}

function addEntry(builder: Builder, entry: TocEntry): number {
  const name = addText(builder, entry.name)
  const type = addRepeated(builder, entry.type)
  const linkname = addText(builder, entry.linkname)
  const uname = addRepeated(builder, entry.uname)
  const gname = addRepeated(builder, entry.gname)
  const modTime = addRepeated(builder, entry.modTime)
  const keys = [...entry.paxRecords.keys()].toSorted((a, b) => (a < b ? -1 : 1))
  const xattrs = addOffsets(
    builder,
    keys.map((key) => addXattr(builder, key, entry.paxRecords.get(key) ?? key)),
  )
  builder.startObject(14)
  builder.addFieldOffset(0, name, 0)
  builder.addFieldOffset(1, type, 0)
  builder.addFieldInt64(2, BigInt(entry.offset), 0n)
  builder.addFieldInt64(3, BigInt(entry.size), 0n)
  builder.addFieldOffset(4, linkname, 0)
  builder.addFieldInt64(5, BigInt(entry.mode), 0n)
  builder.addFieldInt32(6, entry.uid | 0, 0)
  builder.addFieldInt32(7, entry.gid | 0, 0)
  builder.addFieldOffset(8, uname, 0)
  builder.addFieldOffset(9, gname, 0)
  builder.addFieldOffset(10, modTime, 0)
  builder.addFieldInt64(11, BigInt(entry.devMajor), 0n)
  builder.addFieldInt64(12, BigInt(entry.devMinor), 0n)
  builder.addFieldOffset(13, xattrs, 0)
  return builder.endObject()
}

function addXattr(builder: Builder, key: ByteText, value: ByteText): number {
  const keyOffset = addText(builder, key)
  const valueOffset = addText(builder, value)
  builder.startObject(2)
  builder.addFieldOffset(0, keyOffset, 0)
  builder.addFieldOffset(1, valueOffset, 0)
  return builder.endObject()
}

function addCompression(builder: Builder, ztoc: Ztoc): number {
  const checkpoints = builder.createByteVector(ztoc.checkpoints)
  const digests = addOffsets(
    builder,
    ztoc.spanDigests.map((digest) => builder.createString(digest)),
  )
  builder.startObject(4)
  builder.addFieldInt32(1, ztoc.maxSpanId, 0)
  builder.addFieldOffset(2, digests, 0)
  builder.addFieldOffset(3, checkpoints, 0)
  builder.addFieldInt8(0, ALGORITHM_CODE[ztoc.algorithm], ALGORITHM_CODE.gzip)
  return builder.endObject()
}

/** The bytes of texts that most entries share: encoding them costs more than copying them. */
const repeated = new Map<string, Uint8Array>()
const MAX_REPEATED = 256
const MAX_REPEATED_LENGTH = 64

function addRepeated(builder: Builder, text: string): number {
  if (text.length > MAX_REPEATED_LENGTH) return builder.createString(Buffer.from(text, 'latin1'))
  const known = repeated.get(text)
  if (known) return builder.createString(known)
  if (repeated.size >= MAX_REPEATED) repeated.clear()
  const bytes = Buffer.from(text, 'latin1')
  repeated.set(text, bytes)
  return builder.createString(bytes)
}

function addText(builder: Builder, text: ByteText): number {
  return builder.createString(bytesOf(text))
}

function addOffsets(builder: Builder, offsets: readonly number[]): number {
  builder.startVector(4, offsets.length, 4)
  for (const offset of offsets.toReversed()) builder.addOffset(offset)
  return builder.endVector()
}

export interface DecodeOptions {
  /**
   * Reads of an entry only what finds it: name, type, place and link target. The rest is read, and
   * may throw, when it is first asked for: looking for one file of a hundred thousand needs no more.
   */
  readonly lazily?: boolean | undefined
}

/**
 * Reads a zTOC, its entries sorted by offset as every consumer does. The checkpoints lie in
 * `content`. Throws `INTEGRITY` for a malformed one, in time and memory bounded by its length, and
 * `UNSUPPORTED` for a version or compression that is not known. What the numbers mean is checked
 * by `openZtoc`.
 */
export function decodeZtoc(content: Uint8Array, { lazily = false }: DecodeOptions = {}): Ztoc {
  const reader = new FlatReader(content, 'zTOC')
  const root = reader.root()
  const version = decodeText(reader.text(root, 0))
  if (version !== ZTOC_VERSION) {
    const shown = JSON.stringify(version.slice(0, 40))
    throw new S3loError('UNSUPPORTED', `the zTOC has version ${shown}, not ${ZTOC_VERSION}`)
  }
  const toc = required(reader.table(root, 4), 'table of contents')
  const compression = required(reader.table(root, 5), 'compression information')
  const entries = reader.tables(toc, 0).map((table) => new FlatEntry(reader, table))
  entries.sort((a, b) => a.offset - b.offset)
  return {
    version,
    buildToolIdentifier: decodeText(reader.text(root, 1)),
    compressedSize: reader.int64(root, 2),
    uncompressedSize: reader.int64(root, 3),
    entries: lazily ? entries : entries.map((entry) => entry.whole()),
    algorithm: readAlgorithm(reader, compression),
    maxSpanId: reader.int32(compression, 1),
    spanDigests: reader.texts(compression, 2),
    checkpoints: reader.bytes(compression, 3),
  }
}

function readAlgorithm(reader: FlatReader, compression: FlatTable): CompressionAlgorithm {
  const code = reader.int8(compression, 0, ALGORITHM_CODE.gzip)
  if (code === ALGORITHM_CODE.gzip) return 'gzip'
  if (code === ALGORITHM_CODE.uncompressed) return 'uncompressed'
  throw new S3loError('UNSUPPORTED', `the zTOC has compression ${code}, which is not known`)
}

type EntryDetails = Omit<TocEntry, 'name' | 'type' | 'offset' | 'size' | 'linkname' | 'isSparse'>

/** An entry whose details are read when they are first asked for. */
class FlatEntry implements TocEntry {
  readonly name: ByteText
  readonly type: EntryType
  readonly offset: number
  readonly size: number
  readonly linkname: ByteText
  readonly #reader: FlatReader
  readonly #table: FlatTable
  #details: EntryDetails | undefined

  constructor(reader: FlatReader, table: FlatTable) {
    this.#reader = reader
    this.#table = table
    this.name = reader.text(table, 0)
    this.type = readType(reader, table)
    this.offset = reader.int64(table, 2)
    this.size = reader.int64(table, 3)
    this.linkname = reader.text(table, 4)
  }

  get mode(): number {
    return this.#read().mode
  }

  get uid(): number {
    return this.#read().uid
  }

  get gid(): number {
    return this.#read().gid
  }

  get uname(): ByteText {
    return this.#read().uname
  }

  get gname(): ByteText {
    return this.#read().gname
  }

  get modTime(): string {
    return this.#read().modTime
  }

  get devMajor(): number {
    return this.#read().devMajor
  }

  get devMinor(): number {
    return this.#read().devMinor
  }

  get paxRecords(): ReadonlyMap<ByteText, ByteText> {
    return this.#read().paxRecords
  }

  /** The same as plain data. */
  whole(): TocEntry {
    const { name, type, offset, size, linkname } = this
    return { name, type, offset, size, linkname, ...this.#read() }
  }

  #read(): EntryDetails {
    this.#details ??= readDetails(this.#reader, this.#table)
    return this.#details
  }
}

function readType(reader: FlatReader, table: FlatTable): EntryType {
  const type: string = reader.text(table, 1)
  if (isEntryType(type)) return type
  throw new S3loError(
    'INTEGRITY',
    `the zTOC has an entry of type ${JSON.stringify(type.slice(0, 40))}`,
  )
}

function readDetails(reader: FlatReader, table: FlatTable): EntryDetails {
  return {
    mode: reader.int64(table, 5),
    uid: reader.uint32(table, 6),
    gid: reader.uint32(table, 7),
    uname: reader.text(table, 8),
    gname: reader.text(table, 9),
    modTime: reader.text(table, 10),
    devMajor: reader.int64(table, 11),
    devMinor: reader.int64(table, 12),
    paxRecords: readRecords(reader, table),
  }
}

function readRecords(reader: FlatReader, table: FlatTable): ReadonlyMap<ByteText, ByteText> {
  const records = reader.tables(table, 13)
  if (records.length === 0) return NO_RECORDS
  return new Map(records.map((record) => [reader.text(record, 0), reader.text(record, 1)]))
}

/** Most entries have none. */
const NO_RECORDS: ReadonlyMap<ByteText, ByteText> = new Map()

function required<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value
  throw new S3loError('INTEGRITY', `the zTOC has no ${what}`)
}
