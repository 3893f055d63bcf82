import { S3loError } from '../errors.ts'
import { asArray, asObject, asSize, asString, type JsonObject, optional } from '../oci/json.ts'
import { type ByteText, byteText, bytesOf, decodeText, encodeText } from '../tar/byte-text.ts'
import { BLOCK_SIZE } from '../tar/tar-header.ts'
import { isEntryType, type TocEntry, XATTR_PREFIX } from '../tar/toc-entry.ts'
import { hexOf, readSha256 } from './sized-digest.ts'

/** A table with longer headers of one entry is none (bytes): a PAX and two long-name headers are shorter. */
export const MAX_ENTRY_HEADERS = 4 * 1024 * 1024

/** What a table says of an entry beside what its tar header does. */
export interface EntryFacts {
  /** Bytes between the end of the entry before and its content: its headers, and what no table lists. */
  readonly headers: number
  /** The sha256 of the content of a file; a sparse one has none. */
  readonly digest: string | undefined
}

/** An entry as the table of its layer has it; of its PAX records those that are extended attributes. */
export interface TableEntry extends TocEntry, EntryFacts {}

const NO_RECORDS: ReadonlyMap<ByteText, ByteText> = new Map()

/** The JSON of an entry. What is empty or zero is left out. */
export function formatTableEntry(entry: TocEntry, { headers, digest }: EntryFacts): string {
  const { size, uid, gid, linkname, uname, gname, devMajor, devMinor } = entry
  const xattrs = xattrsOf(entry)
  return JSON.stringify({
    path: toJson(entry.name),
    type: entry.type,
    offset: entry.offset,
    headers: headers === BLOCK_SIZE ? undefined : headers,
    size: size || undefined,
    sha256: digest && hexOf(digest),
    mode: entry.mode,
    uid: uid || undefined,
    gid: gid || undefined,
    uname: uname === '' ? undefined : toJson(uname),
    gname: gname === '' ? undefined : toJson(gname),
    mtime: entry.modTime || undefined,
    link: linkname === '' ? undefined : toJson(linkname),
    device: devMajor === 0 && devMinor === 0 ? undefined : [devMajor, devMinor],
    xattrs: xattrs.length === 0 ? undefined : xattrs,
    sparse: entry.isSparse,
  })
}

/** Where an entry ends in the tar, and the next one begins (bytes). */
export function endOfEntry({ offset, size }: TocEntry): number {
  return offset + Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE
}

/** True where the tar says of an entry what the table does, but for the digest of its content. */
export function isSameEntry(found: TocEntry, entry: TableEntry): boolean {
  return formatTableEntry(found, entry) === formatTableEntry(entry, entry)
}

/** Reads the JSON of an entry. Throws `INTEGRITY`. */
export function parseTableEntry(value: unknown, path: string): TableEntry {
  const object = asObject(value, path)
  const type = asString(object['type'], `${path}.type`)
  if (!isEntryType(type)) throw invalid(`${path}.type`, 'the type of an entry')
  const isSparse = object['sparse'] === true
  const digest = optional(object, 'sha256', path, readSha256)
  if ((digest !== undefined) !== (type === 'reg' && !isSparse)) {
    throw invalid(`${path}.sha256`, `that of a ${type}`)
  }
  const size = optional(object, 'size', path, asSize) ?? 0
  if (size > 0 && type !== 'reg') throw invalid(`${path}.size`, `that of a ${type}`)
  const [devMajor, devMinor] = optional(object, 'device', path, asDevice) ?? NO_DEVICE
  return {
    name: textOf(object, 'path', path),
    type,
    offset: asSize(object['offset'], `${path}.offset`),
    headers: optional(object, 'headers', path, asHeaders) ?? BLOCK_SIZE,
    size,
    digest,
    linkname: textOf(object, 'link', path),
    mode: asInteger(object['mode'], `${path}.mode`),
    uid: optional(object, 'uid', path, asId) ?? 0,
    gid: optional(object, 'gid', path, asId) ?? 0,
    uname: textOf(object, 'uname', path),
    gname: textOf(object, 'gname', path),
    modTime: optional(object, 'mtime', path, asTime) ?? '',
    devMajor,
    devMinor,
    paxRecords: optional(object, 'xattrs', path, asXattrs) ?? NO_RECORDS,
    ...(isSparse ? { isSparse } : {}),
  }
}

const NO_DEVICE: readonly [number, number] = [0, 0]

/** A text as it is where its bytes are UTF-8, which nearly all are; else its bytes. */
type JsonText = string | { readonly base64: string }

/** ASCII, which is the same in both: nearly all names. */
const PLAIN = /^[ -~]*$/

function toJson(text: ByteText): JsonText {
  if (PLAIN.test(text)) return text
  const decoded = decodeText(text)
  return encodeText(decoded) === text ? decoded : { base64: bytesOf(text).toString('base64') }
}

/** Absent: empty. */
function textOf(object: JsonObject, member: string, path: string): ByteText {
  return optional(object, member, path, asText) ?? ('' as ByteText)
}

function asText(value: unknown, path: string): ByteText {
  if (typeof value === 'string') return encodeText(asString(value, path))
  return asBytes(asObject(value, path)['base64'], `${path}.base64`)
}

function asBytes(value: unknown, path: string): ByteText {
  return byteText(Buffer.from(asString(value, path), 'base64'))
}

/** Names and values, whose bytes are mostly no text. */
function xattrsOf({ paxRecords }: TocEntry): readonly (readonly [JsonText, string])[] {
  if (paxRecords.size === 0) return []
  return [...paxRecords].flatMap(([key, value]) =>
    key.startsWith(XATTR_PREFIX)
      ? [[toJson(key.slice(XATTR_PREFIX.length) as ByteText), bytesOf(value).toString('base64')]]
      : [],
  )
}

function asXattrs(value: unknown, path: string): ReadonlyMap<ByteText, ByteText> {
  return new Map(
    asArray(value, path).map((pair, i) => {
      const [name, content] = asArray(pair, `${path}[${i}]`)
      const key = `${XATTR_PREFIX}${asText(name, `${path}[${i}]`)}` as ByteText
      return [key, asBytes(content, `${path}[${i}]`)]
    }),
  )
}

function asDevice(value: unknown, path: string): readonly [number, number] {
  const [major, minor] = asArray(value, path)
  return [asInteger(major, path), asInteger(minor, path)]
}

function asHeaders(value: unknown, path: string): number {
  const bytes = asSize(value, path)
  if (bytes >= BLOCK_SIZE && bytes <= MAX_ENTRY_HEADERS && bytes % BLOCK_SIZE === 0) return bytes
  throw invalid(path, 'the length of headers')
}

function asInteger(value: unknown, path: string): number {
  if (Number.isSafeInteger(value)) return value as number
  throw invalid(path, 'a whole number')
}

function asId(value: unknown, path: string): number {
  const id = asSize(value, path)
  if (id < 2 ** 32) return id
  throw invalid(path, 'the number of a user or group')
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/

function asTime(value: unknown, path: string): string {
  const text = asString(value, path)
  if (TIME.test(text)) return text
  throw invalid(path, 'a time')
}

function invalid(path: string, what: string): S3loError {
  return new S3loError('INTEGRITY', `${path} is not ${what}`)
}
