import { byteText, type ByteText } from './byte-text.ts'
import { invalidHeader } from './tar-header.ts'

/** Seconds and nanoseconds since 1970, with nanoseconds from 0 to 999 999 999. */
export interface TarTime {
  readonly seconds: bigint
  readonly nanoseconds: number
}

const SPACE = 0x20
const EQUALS = 0x3d
const NEWLINE = 0x0a

/**
 * Reads the body of a PAX header as Go does; the records in byte order of their keys. Throws
 * `INTEGRITY`. `onRecord` receives each record before the next one is read, repeated keys too.
 */
export function parsePax(
  body: Uint8Array,
  onRecord: (bytes: number) => void = () => {},
): ReadonlyMap<ByteText, ByteText> {
  const records = new Map<ByteText, ByteText>()
  const sparse: ByteText[] = []
  for (let rest = body; rest.length > 0;) {
    const { key, value, length } = parseRecord(rest)
    onRecord(length)
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      const expected = sparse.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes'
      if (key !== expected || value.includes(',')) throw invalidPax()
      sparse.push(value)
    } else {
      records.set(key, value)
    }
    rest = rest.subarray(length)
  }
  if (sparse.length > 0) records.set('GNU.sparse.map' as ByteText, sparse.join(',') as ByteText)
  return new Map([...records].sort(([a], [b]) => (a < b ? -1 : 1)))
}

interface PaxRecord {
  readonly key: ByteText
  readonly value: ByteText
  readonly length: number
}

function parseRecord(bytes: Uint8Array): PaxRecord {
  // A length of more digits than these is longer than any body that is read.
  const space = bytes.subarray(0, 24).indexOf(SPACE)
  const digits = space < 0 ? '' : byteText(bytes.subarray(0, space))
  const length = /^[+-]?[0-9]+$/.test(digits) ? Number(digits) : -1
  if (length < 5 || length > bytes.length || length <= space + 1) throw invalidPax()
  const record = bytes.subarray(space + 1, length - 1)
  const equals = record.indexOf(EQUALS)
  if (bytes[length - 1] !== NEWLINE || equals <= 0) throw invalidPax()
  const key = byteText(record.subarray(0, equals))
  const value = byteText(record.subarray(equals + 1))
  const checked = ['path', 'linkpath', 'uname', 'gname'].includes(key) ? value : key
  if (checked.includes('\0')) throw invalidPax()
  return { key, value, length }
}

/** Reads a decimal of 64 bits. Throws `INTEGRITY`. */
export function parsePaxInteger(value: ByteText | string): bigint {
  if (!/^[+-]?[0-9]{1,40}$/.test(value)) throw invalidPax()
  const number = BigInt(value.replace('+', ''))
  if (BigInt.asIntN(64, number) !== number) throw invalidPax()
  return number
}

/** Reads `-1.5`: the fraction is padded or cut to nine digits, and has the sign of the whole. */
export function parsePaxTime(value: ByteText): TarTime {
  const [whole = '', ...rest] = value.split('.')
  const fraction = rest.join('.')
  const seconds = parsePaxInteger(whole)
  if (!/^[0-9]*$/.test(fraction)) throw invalidPax()
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'))
  if (!whole.startsWith('-') || nanoseconds === 0) return { seconds, nanoseconds }
  return { seconds: seconds - 1n, nanoseconds: 1_000_000_000 - nanoseconds }
}

/** RFC 3339 in UTC as Go writes it: no trailing zeros of a fraction; empty outside the years 0 to 9999. */
export function formatTarTime({ seconds, nanoseconds }: TarTime): string {
  if (seconds < -62_167_219_200n || seconds > 253_402_300_799n) return ''
  const whole = formatSecond(Number(seconds))
  if (nanoseconds === 0) return `${whole}Z`
  const fraction = String(nanoseconds).padStart(9, '0').replace(/0+$/, '')
  return `${whole}.${fraction}Z`
}

/** Most files of a layer have the time of the one before. */
let last = { second: 0, text: '1970-01-01T00:00:00' }

function formatSecond(second: number): string {
  if (last.second !== second) {
    last = { second, text: new Date(second * 1000).toISOString().slice(0, 19) }
  }
  return last.text
}

function invalidPax(): Error {
  return invalidHeader('a PAX record is malformed')
}
