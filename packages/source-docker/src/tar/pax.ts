import { S3loError } from '@s3lo/core'

/** What extended headers say about the entry that follows them. */
export interface TarExtension {
  readonly path?: string
  readonly linkPath?: string
  /** Bytes. */
  readonly size?: number
}

/** Reads the records of a pax extended header. Throws `INTEGRITY`, or `UNSUPPORTED` for sparse files. */
export function parsePax(content: Buffer, archive: string): TarExtension {
  let extension: TarExtension = {}
  for (let at = 0; at < content.length;) {
    const { key, value, next } = readRecord(content, at, archive)
    extension = { ...extension, ...meaning(key, value, archive) }
    at = next
  }
  return extension
}

function readRecord(
  content: Buffer,
  at: number,
  archive: string,
): { key: string; value: string; next: number } {
  const blank = content.indexOf(0x20, at)
  const digits = blank < 0 ? '' : content.toString('latin1', at, blank)
  const next = at + Number(digits)
  const valid =
    /^[1-9][0-9]{0,9}$/.test(digits) && next <= content.length && content[next - 1] === 0x0a
  const equals = valid ? content.indexOf(0x3d, blank) : -1
  if (equals < 0 || equals >= next) {
    throw new S3loError('INTEGRITY', `${archive} has a malformed extended header`)
  }
  return {
    key: content.toString('utf8', blank + 1, equals),
    value: content.toString('utf8', equals + 1, next - 1),
    next,
  }
}

function meaning(key: string, value: string, archive: string): TarExtension {
  if (key.startsWith('GNU.sparse.')) {
    throw new S3loError('UNSUPPORTED', `${archive} has sparse files`, {
      hint: 'write the archive without --sparse',
    })
  }
  if (key === 'path') return { path: value }
  if (key === 'linkpath') return { linkPath: value }
  if (key !== 'size') return {}
  const size = Number(value)
  if (/^[0-9]+$/.test(value) && Number.isSafeInteger(size)) return { size }
  throw new S3loError('INTEGRITY', `${archive} has an extended header with an impossible size`)
}
