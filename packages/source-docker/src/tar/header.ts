import { BLOCK_SIZE } from '@s3lo/core/tar'

const SIZE_START = 124
const CHECKSUM_FIELD = { start: 148, end: 156 } as const
/** The largest size that eleven octal digits hold. */
const MAX_OCTAL_SIZE = 0o77777777777

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
  block.write(`${size.toString(8).padStart(11, '0')}\0`, SIZE_START, 'latin1')
  block.write('00000000000\0', 136, 'latin1')
  block.write(typeFlag, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write(prefix, 345, 'latin1')
  // The checksum counts its own field as blanks.
  block.fill(0x20, CHECKSUM_FIELD.start, CHECKSUM_FIELD.end)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, CHECKSUM_FIELD.start, 'latin1')
  return block
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (rest + String(length).length > length) length += 1
  return `${length} ${key}=${value}\n`
}
