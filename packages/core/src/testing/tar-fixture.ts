/** The fields of a tar header that a test sets. */
export interface TarFields {
  readonly size?: number
  readonly type?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  readonly link?: string
  readonly uname?: string
  readonly gname?: string
  readonly major?: number
  readonly minor?: number
  readonly magic?: string
  readonly prefix?: string
}

/** A header block in ustar form, unless the fields say otherwise. */
export function tarHeader(name: string | Buffer, fields: TarFields = {}): Buffer {
  const block = Buffer.alloc(512)
  const text = (at: number, value: string | Buffer, limit: number): void => {
    block.set((typeof value === 'string' ? Buffer.from(value) : value).subarray(0, limit), at)
  }
  const octal = (at: number, value: number, digits: number): void => {
    text(at, value.toString(8).padStart(digits, '0'), digits)
  }
  text(0, name, 100)
  octal(100, fields.mode ?? 0o644, 7)
  octal(108, fields.uid ?? 0, 7)
  octal(116, fields.gid ?? 0, 7)
  octal(124, fields.size ?? 0, 11)
  octal(136, fields.mtime ?? 0, 11)
  text(156, fields.type ?? '0', 1)
  text(157, fields.link ?? '', 100)
  text(257, fields.magic ?? 'ustar\x0000', 8)
  text(265, fields.uname ?? '', 32)
  text(297, fields.gname ?? '', 32)
  octal(329, fields.major ?? 0, 7)
  octal(337, fields.minor ?? 0, 7)
  text(345, fields.prefix ?? '', 155)
  return withTarChecksum(block)
}

/** The block with the checksum that its bytes need. */
export function withTarChecksum(block: Buffer): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** Content filled up to whole blocks. */
export function padTar(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)])
}

/** The two zero blocks that end a tar. */
export const TAR_END = Buffer.alloc(1024)

/** A file: its header and its padded content. */
export function tarFile(
  name: string | Buffer,
  content: Buffer | string,
  fields: TarFields = {},
): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([tarHeader(name, { ...fields, size: bytes.length }), padTar(bytes)])
}

/** A PAX header with these records, for the entry that follows. */
export function tarPax(records: Readonly<Record<string, string | Buffer>>): Buffer {
  const body = Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')])
      let length = rest.length
      while (String(length).length + rest.length !== length) length++
      return Buffer.concat([Buffer.from(String(length)), rest])
    }),
  )
  return Buffer.concat([
    tarHeader('PaxHeaders.0/x', { type: 'x', size: body.length }),
    padTar(body),
  ])
}
