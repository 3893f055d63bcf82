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
  let path: string | undefined
  let linkPath: string | undefined
  let size: number | undefined
  for (let at = 0; at < content.length;) {
    const { key, start, next } = readRecord(content, at, archive)
    if (key.startsWith('GNU.sparse.')) throw sparseFiles(archive)
    // Other values are not even decoded: a header of a megabyte can hold a hundred thousand.
    const value = READ.has(key) ? content.toString('utf8', start, next - 1) : ''
    if (key === 'path') path = value
    else if (key === 'linkpath') linkPath = value
    else if (key === 'size') size = parseSize(value, archive)
    at = next
  }
  return {
    ...(path === undefined ? {} : { path }),
    ...(linkPath === undefined ? {} : { linkPath }),
    ...(size === undefined ? {} : { size }),
  }
}

const READ: ReadonlySet<string> = new Set(['path', 'linkpath', 'size'])

/** The error for an archive with sparse files: their content is not what stands in the archive. */
export function sparseFiles(archive: string): S3loError {
  return new S3loError('UNSUPPORTED', `${archive} has sparse files`, {
    hint: 'write the archive without --sparse',
  })
}

function readRecord(
  content: Buffer,
  at: number,
  archive: string,
): { key: string; start: number; next: number } {
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
    key: content.toString('latin1', blank + 1, equals),
    start: equals + 1,
    next,
  }
}

function parseSize(value: string, archive: string): number {
  const size = Number(value)
  if (/^[0-9]+$/.test(value) && Number.isSafeInteger(size)) return size
  throw new S3loError('INTEGRITY', `${archive} has an extended header with an impossible size`)
}
