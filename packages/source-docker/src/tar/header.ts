import { S3loError } from '@s3lo/core'

/** Tar files are made of blocks of this many bytes (POSIX.1-2024, "pax interchange format"). */
export const BLOCK_SIZE = 512

/** One header block, as it stands: names may be continued by records before it. */
export interface TarHeader {
  readonly name: string
  readonly typeFlag: string
  /** Bytes. */
  readonly size: number
  readonly linkName: string
}

const SIZE_FIELD = { start: 124, end: 136 } as const
const CHECKSUM_FIELD = { start: 148, end: 156 } as const
/** The largest size that eleven octal digits hold. */
const MAX_OCTAL_SIZE = 0o77777777777

/** Reads a header block; `undefined` for a block of zeros, which ends the archive. Throws `INTEGRITY`. */
export function parseHeader(block: Buffer, archive: string): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  if (!hasValidChecksum(block)) {
    throw new S3loError(
      'INTEGRITY',
      `${archive} is not a tar archive, or is damaged: bad header checksum`,
    )
  }
  const posix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = posix ? text(block, 345, 500) : ''
  const name = text(block, 0, 100)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    typeFlag: String.fromCharCode(block[156] ?? 0),
    size: parseNumber(block.subarray(SIZE_FIELD.start, SIZE_FIELD.end), archive),
    linkName: text(block, 157, 257),
  }
}

/** True when the block's checksum is right: what starts an archive starts with such a block. */
export function hasValidChecksum(block: Uint8Array): boolean {
  if (block.length < BLOCK_SIZE) return false
  const field = Buffer.from(block.subarray(CHECKSUM_FIELD.start, CHECKSUM_FIELD.end)).toString(
    'latin1',
  )
  const digits = /^[ \0]*([0-7]+)[ \0]*$/.exec(field)?.[1]
  if (digits === undefined) return false
  const expected = Number.parseInt(digits, 8)
  const { unsigned, signed } = checksums(block)
  return expected === unsigned || expected === signed
}

/** Some old writers summed signed bytes; both sums count the checksum field as blanks. */
function checksums(block: Uint8Array): { unsigned: number; signed: number } {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK_SIZE; i++) {
    const inField = i >= CHECKSUM_FIELD.start && i < CHECKSUM_FIELD.end
    const byte = inField ? 0x20 : (block[i] ?? 0)
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  return { unsigned, signed }
}

/** Octal digits, or base 256 when the first bit is set (GNU and star). */
function parseNumber(field: Buffer, archive: string): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return parseBase256(field, archive)
  const digits = field.toString('latin1').replaceAll(/[ \0]+$|^[ \0]+/g, '')
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits)) {
    throw new S3loError('INTEGRITY', `${archive} has a header whose size is not a number`)
  }
  return Number.parseInt(digits, 8)
}

function parseBase256(field: Buffer, archive: string): number {
  let value = (field[0] ?? 0) & 0x7f
  for (const byte of field.subarray(1)) value = value * 256 + byte
  if (Number.isSafeInteger(value)) return value
  throw new S3loError('INTEGRITY', `${archive} has a header with an impossible size`)
}

function text(block: Buffer, start: number, end: number): string {
  const field = block.subarray(start, end)
  const nul = field.indexOf(0)
  return (nul < 0 ? field : field.subarray(0, nul)).toString('utf8')
}

/**
 * The header of a regular file: owner 0, time 0, mode 0644, so that equal content gives equal
 * archives. Long names and sizes of 8 GiB and more get a pax record.
 */
export function formatFileHeader(name: string, size: number): Buffer {
  const split = splitName(name)
  const records: string[] = []
  if (!split) records.push(paxRecord('path', name))
  if (size > MAX_OCTAL_SIZE) records.push(paxRecord('size', String(size)))
  const [prefix, base] = split ?? ['', Buffer.from(name).subarray(0, 100).toString('latin1')]
  const header = formatBlock(prefix, base, '0', size > MAX_OCTAL_SIZE ? 0 : size)
  if (records.length === 0) return header
  const body = Buffer.from(records.join(''))
  return Buffer.concat([
    formatBlock('', 'PaxHeaders.0/entry', 'x', body.length),
    body,
    padding(body.length),
    header,
  ])
}

/** The zeros that fill up the last block of content of this size. */
export function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE)
}

/** What ends an archive: two blocks of zeros. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(2 * BLOCK_SIZE)
}

/** Cuts a name into ustar's prefix (155 bytes) and name (100 bytes); `undefined` when it does not fit. */
function splitName(name: string): readonly [prefix: string, base: string] | undefined {
  const bytes = Buffer.from(name)
  if (bytes.length !== name.length) return undefined // Not ASCII: only pax says which encoding it is.
  if (bytes.length <= 100) return ['', name]
  for (
    let slash = name.indexOf('/');
    slash > 0 && slash <= 155;
    slash = name.indexOf('/', slash + 1)
  ) {
    if (name.length - slash - 1 <= 100) return [name.slice(0, slash), name.slice(slash + 1)]
  }
  return undefined
}

function formatBlock(prefix: string, name: string, typeFlag: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_SIZE)
  block.write(name, 0, 'latin1')
  block.write('0000644\0', 100, 'latin1')
  block.write('0000000\0', 108, 'latin1')
  block.write('0000000\0', 116, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')}\0`, SIZE_FIELD.start, 'latin1')
  block.write('00000000000\0', 136, 'latin1')
  block.write(typeFlag, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write(prefix, 345, 'latin1')
  const sum = checksums(block).unsigned.toString(8).padStart(6, '0')
  block.write(`${sum}\0 `, CHECKSUM_FIELD.start, 'latin1')
  return block
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (rest + String(length).length > length) length += 1
  return `${length} ${key}=${value}\n`
}
