import { crc32 } from 'node:zlib'
import {
  padTar as pad,
  TAR_END as END,
  tarFile as file,
  tarHeader as header,
  tarPax as pax,
  withTarChecksum as withChecksum,
} from '@s3lo/core/testing'

export { END, file, header, pad, pax, withChecksum }

/** Archives whose bytes are fixed, since the digests of their zTOCs are. */
export const tarA = Buffer.concat([
  file('hello.txt', 'Hello, world\n', {
    uid: 1000,
    gid: 1000,
    mtime: 1700000000,
    uname: 'user',
    gname: 'group',
  }),
  END,
])

export const tarB = Buffer.concat([
  header('dir/', { type: '5', mode: 0o755, mtime: 1 }),
  file(
    'dir/data.bin',
    Buffer.from(Array.from({ length: 3000 }, (_, i) => (7 * i + (i >> 5)) & 0x7f)),
    {
      mtime: 2,
    },
  ),
  END,
])

export const tarC = Buffer.concat([file('big.bin', pseudoRandom(200_000), { mtime: 3 }), END])

export const tarH = Buffer.concat([
  header('./', { type: '5', mode: 0o755, mtime: 1600000000 }),
  header('./bin/', { type: '5', mode: 0o1777, mtime: 1600000000 }),
  pax({
    mtime: '1600000000.123456789',
    'SCHILY.xattr.user.foo': 'bar',
    'SCHILY.xattr.security.capability': Buffer.from(`0100000200040000${'00'.repeat(12)}`, 'hex'),
    'LIBARCHIVE.creationtime': '1',
  }),
  file('./bin/a', 'AAAAA', {
    mode: 0o4755,
    uid: 10,
    gid: 20,
    mtime: 1600000000,
    uname: 'u',
    gname: 'g',
  }),
  header('./bin/l', { type: '2', mode: 0o777, mtime: 1600000001, link: 'a' }),
  header('./bin/h', { type: '1', mtime: 1600000001, link: './bin/a' }),
  header('./dev/null', { type: '3', mode: 0o666, mtime: 1600000002, major: 1, minor: 3 }),
  header('./dev/sda', { type: '4', mode: 0o660, gid: 6, mtime: 1600000002, major: 8 }),
  header('./dev/fifo', { type: '6', mode: 0o600, mtime: 1600000002 }),
  header('./etc/.wh..wh..opq', { mode: 0o600, mtime: 1600000003 }),
  header('././@LongLink', { size: 121, type: 'L', mode: 0, magic: 'ustar  \0' }),
  pad(Buffer.from(`./${'n'.repeat(118)}\0`)),
  file(`./${'n'.repeat(98)}`, 'Z', { mode: 0o600, mtime: 1600000004, magic: 'ustar  \0' }),
  header('name', { mode: 0o600, mtime: 1600000005, prefix: 'usr/prefix' }),
  header('old/', { type: '\0', mode: 0o755, mtime: 1600000006 }),
  file('old/file', 'old', { type: '\0', mtime: 1600000006 }),
  END,
])

export function pseudoRandom(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let x = 1
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    bytes[i] = (x >> 16) & 0xff
  }
  return bytes
}

const BARE_HEADER = Buffer.from('1f8b08000000000000ff', 'hex')

/** A gzip member of deflate data. */
export function gz(deflated: Buffer, content: Buffer, head: Buffer = BARE_HEADER): Buffer {
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(content), 0)
  trailer.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, deflated, trailer])
}

/** Stored blocks of at most `block` bytes. */
export function stored(content: Buffer, block = 65535): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; parts.length === 0 || at < content.length; at += block) {
    const piece = content.subarray(at, at + block)
    const head = Buffer.alloc(5)
    head[0] = at + block >= content.length ? 1 : 0
    head.writeUInt16LE(piece.length, 1)
    head.writeUInt16LE(piece.length ^ 0xffff, 3)
    parts.push(head, piece)
  }
  return Buffer.concat(parts)
}

class BitWriter {
  readonly #bytes: number[] = []
  #hold = 0
  #count = 0

  bits(value: number, count: number): void {
    this.#hold |= value << this.#count
    this.#count += count
    for (; this.#count >= 8; this.#count -= 8) {
      this.#bytes.push(this.#hold & 255)
      this.#hold >>>= 8
    }
  }

  literal(byte: number): void {
    if (byte < 144) this.bits(reversed(0x30 + byte, 8), 8)
    else this.bits(reversed(0x190 + byte - 144, 9), 9)
  }

  block(content: Buffer, last: boolean): void {
    this.bits(last ? 1 : 0, 1)
    this.bits(1, 2)
    for (const byte of content) this.literal(byte)
    this.bits(0, 7)
  }

  end(): Buffer {
    if (this.#count > 0) this.#bytes.push(this.#hold & 255)
    return Buffer.from(this.#bytes)
  }
}

function reversed(value: number, count: number): number {
  let result = 0
  for (let i = 0; i < count; i++) result = (result << 1) | ((value >> i) & 1)
  return result
}

/** Fixed-Huffman blocks of literals only, of `block` bytes each. */
function fixed(content: Buffer, block: number): Buffer {
  const writer = new BitWriter()
  for (let at = 0; at === 0 || at < content.length; at += block) {
    writer.block(content.subarray(at, at + block), at + block >= content.length)
  }
  return writer.end()
}

/** One empty block, then all of the content in a last one. */
function emptyThenFixed(content: Buffer): Buffer {
  const writer = new BitWriter()
  writer.block(Buffer.alloc(0), false)
  writer.block(content, true)
  return writer.end()
}

const FULL_HEADER = Buffer.from('1f8b081e0000000000ff0400616200006e2e74617200636d00', 'hex')
const headerCrc = Buffer.alloc(2)
headerCrc.writeUInt16LE(crc32(FULL_HEADER) & 0xffff, 0)

/** The layers whose zTOCs are known by digest. */
export const LAYERS = {
  A: gz(stored(tarA), tarA),
  B: gz(fixed(tarB, 600), tarB),
  C: gz(fixed(tarC, 5000), tarC),
  P: gz(fixed(tarC, 4096), tarC),
  D: gz(stored(tarA), tarA, Buffer.concat([FULL_HEADER, headerCrc])),
  E: Buffer.concat(
    [tarB.subarray(0, 1800), tarB.subarray(1800)].map((part) => gz(fixed(part, 600), part)),
  ),
  F: gz(emptyThenFixed(tarA), tarA),
  G: layerOf(Buffer.concat([tarA, Buffer.alloc(10240 - tarA.length)])),
  H: gz(stored(tarH), tarH),
  N: gz(stored(Buffer.alloc(0)), Buffer.alloc(0)),
} as const

/** A tar in one stored gzip member. */
export function layerOf(tar: Buffer): Buffer {
  return gz(stored(tar), tar)
}
