import { S3loError } from '../errors.ts'
import { byteText, type ByteText } from './byte-text.ts'

export const BLOCK_SIZE = 512

/** One header block, read as Go's archive/tar reads it. Numbers are whole, as 64-bit values. */
export interface TarHeader {
  readonly flag: string
  readonly name: ByteText
  readonly linkname: ByteText
  readonly size: bigint
  readonly mode: bigint
  readonly uid: bigint
  readonly gid: bigint
  /** Seconds. */
  readonly mtime: bigint
  readonly uname: ByteText
  readonly gname: ByteText
  readonly devMajor: bigint
  readonly devMinor: bigint
}

const EMPTY = byteText(new Uint8Array())

/** Reads a header block. Throws `INTEGRITY` where Go says "invalid tar header". */
export function parseTarHeader(bytes: Uint8Array): TarHeader {
  // One view of it: a layer has a hundred thousand of them, and each view costs as much as a field.
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, BLOCK_SIZE)
  const format = formatOf(block)
  const base = {
    flag: String.fromCodePoint(block[156] ?? 0),
    name: text(block, 0, 100),
    linkname: text(block, 157, 100),
    size: numeric(block, 124, 12),
    mode: numeric(block, 100, 8),
    uid: numeric(block, 108, 8),
    gid: numeric(block, 116, 8),
    mtime: numeric(block, 136, 12),
  }
  if (format === 'v7') return { ...base, uname: EMPTY, gname: EMPTY, devMajor: 0n, devMinor: 0n }
  const prefix = prefixOf(block, format)
  return {
    ...base,
    name: prefix === '' ? base.name : (`${prefix}/${base.name}` as ByteText),
    uname: text(block, 265, 32),
    gname: text(block, 297, 32),
    devMajor: numeric(block, 329, 8),
    devMinor: numeric(block, 337, 8),
  }
}

/** Where Go says `ErrHeader`. */
export function invalidHeader(what: string): S3loError {
  return new S3loError('INTEGRITY', `the content is not a valid tar: ${what}`)
}

/** Up to the first NUL. */
export function cString(bytes: Uint8Array): ByteText {
  const end = bytes.indexOf(0)
  return byteText(end < 0 ? bytes : bytes.subarray(0, end))
}

type Format = 'v7' | 'ustar' | 'star' | 'gnu'

/** True when the checksum of a block is right, as it is at the start of every tar. */
export function hasTarChecksum(block: Uint8Array): boolean {
  if (block.length < BLOCK_SIZE) return false
  const stored = tryOctal(block, 148, 8)
  // Of bytes as they are; and with those over 127 counted as negative, as some writers did.
  let unsigned = 8 * 0x20
  let high = 0
  for (let i = 0; i < BLOCK_SIZE; i++) {
    if (i === 148) i = 156
    const byte = block[i] as number
    unsigned += byte
    high += byte >> 7
  }
  const checksum = Number(stored ?? Number.NaN)
  return checksum === unsigned || checksum === unsigned - high * 0x100
}

function formatOf(block: Buffer): Format {
  if (!hasTarChecksum(block)) throw invalidHeader('a header has a wrong checksum')
  const magic = block.toString('latin1', 257, 265)
  if (magic.startsWith('ustar\0'))
    return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar'
  return magic === 'ustar  \0' ? 'gnu' : 'v7'
}

function prefixOf(block: Buffer, format: Format): ByteText {
  if (format === 'ustar') return text(block, 345, 155)
  if (format === 'star') {
    numeric(block, 476, 12) // The access and change times must be numbers, though nothing uses them.
    numeric(block, 488, 12)
    return text(block, 345, 131)
  }
  // Old Go wrote a prefix into GNU headers: Go takes it for one where the times are not numbers.
  if (isNumericOrUnset(block, 345) && isNumericOrUnset(block, 357)) return EMPTY
  const prefix = text(block, 345, 155)
  return /[\u0080-\u00ff]/.test(prefix) ? EMPTY : prefix
}

function isNumericOrUnset(block: Uint8Array, at: number): boolean {
  return block[at] === 0 || tryNumeric(block, at, 12) !== undefined
}

function text(block: Buffer, at: number, length: number): ByteText {
  const nul = block.indexOf(0, at)
  const end = nul < 0 || nul > at + length ? at + length : nul
  return (end === at ? '' : block.toString('latin1', at, end)) as ByteText
}

function numeric(block: Uint8Array, at: number, length: number): bigint {
  const value = tryNumeric(block, at, length)
  if (value === undefined) throw invalidHeader('a header has a field that is not a number')
  return value
}

function tryNumeric(block: Uint8Array, at: number, length: number): bigint | undefined {
  const first = block[at] ?? 0
  return (first & 0x80) === 0 ? tryOctal(block, at, length) : tryBinary(block, at, length)
}

/** Two's complement, big-endian, with the top bit only marking the form. */
function tryBinary(block: Uint8Array, at: number, length: number): bigint | undefined {
  const first = block[at] ?? 0
  const negative = (first & 0x40) !== 0
  const inverse = negative ? 0xff : 0
  let value = BigInt((first ^ inverse) & 0x7f)
  for (let i = at + 1; i < at + length; i++) {
    value = (value << 8n) | BigInt((block[i] ?? 0) ^ inverse)
  }
  if (value >> 63n !== 0n) return undefined
  return negative ? -value - 1n : value
}

function tryOctal(block: Uint8Array, at: number, length: number): bigint | undefined {
  let start = at
  let end = at + length
  while (start < end && isBlank(block[start])) start += 1
  while (end > start && isBlank(block[end - 1])) end -= 1
  let value = 0
  for (let i = start; i < end; i++) {
    const byte = block[i] ?? 0
    if (byte === 0 && i > start) break
    if (byte < 0x30 || byte > 0x37) return undefined
    value = value * 8 + byte - 0x30
  }
  return BigInt(value) // At most twelve digits: exact.
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === 0x20
}
