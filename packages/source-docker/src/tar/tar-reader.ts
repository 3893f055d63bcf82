import { isS3loError, S3loError } from '@s3lo/core'
import {
  BLOCK_SIZE,
  type ByteText,
  cString,
  decodeText,
  parsePax,
  parseTarHeader,
} from '@s3lo/core/tar'
import type { ByteReader } from './byte-reader.ts'

/** One member of an archive. Its content is what the reader gives next. */
export type TarEntry =
  | { readonly type: 'file'; readonly name: string; readonly size: number; readonly offset: number }
  | { readonly type: 'directory'; readonly name: string }
  | { readonly type: 'link'; readonly name: string; readonly target: string }

/** What an archive may cost to look through; more is an `INTEGRITY` error. */
const TAR_LIMITS = {
  entries: 200_000,
  /** Bytes of all names together. */
  names: 32 * 1024 * 1024,
  /** Records of all extended headers: each costs time, at any length. */
  records: 400_000,
  /** Bytes of one extended header or long name. */
  extension: 1024 * 1024,
  /** Bytes of all of them together: an image's files need a hundred each. */
  extensions: 16 * 1024 * 1024,
  /** Extended headers of one entry: no writer needs more than a long name, a long link and records. */
  extensionsOfEntry: 8,
} as const

/**
 * The members of a tar archive (POSIX ustar and pax, GNU long names), in order. The consumer may
 * take a file's content from `reader` before it asks for the next member. Names come normalised
 * and relative; one that leaves the archive, a device, or more than {@link TAR_LIMITS} is an
 * `INTEGRITY` error.
 */
export async function* readTar(reader: ByteReader, archive: string): AsyncGenerator<TarEntry> {
  const headers = new HeaderReader(reader, archive)
  let names = 0
  for (let count = 0; ;) {
    const header = await headers.next()
    if (!header) return
    count += 1
    names += header.name.length + header.linkName.length
    if (count > TAR_LIMITS.entries || names > TAR_LIMITS.names) {
      throw new S3loError('INTEGRITY', `${archive} has more entries than an image can need`)
    }
    const entry = toEntry(header, reader.position, archive)
    const end = reader.position + contentSize(entry)
    yield entry
    await reader.skip(end - reader.position)
    await reader.skip(-end & (BLOCK_SIZE - 1))
  }
}

/** Reads headers with what extended headers say about them. */
class HeaderReader {
  readonly #reader: ByteReader
  readonly #archive: string
  /** Bytes of extended headers so far. */
  #extensions = 0
  #records = 0

  constructor(reader: ByteReader, archive: string) {
    this.#reader = reader
    this.#archive = archive
  }

  /** The next header of an entry; `undefined` at the end. */
  async next(): Promise<MemberHeader | undefined> {
    let extension: TarExtension = {}
    for (let extended = 0; ; extended++) {
      const block = await this.#reader.peek(BLOCK_SIZE)
      // Some writers leave out the blocks that end an archive; what is missing then will be missed.
      if (block.length === 0 && extended === 0 && this.#reader.position > 0) return undefined
      await this.#reader.skip(BLOCK_SIZE)
      const header = readHeader(block, this.#archive)
      if (!header) return undefined
      if (!EXTENSIONS.has(header.typeFlag)) return extend(header, extension)
      if (extended >= TAR_LIMITS.extensionsOfEntry) {
        throw this.#refused(`more than ${TAR_LIMITS.extensionsOfEntry} extended headers in a row`)
      }
      extension = { ...extension, ...(await this.#readExtension(header)) }
    }
  }

  async #readExtension({ typeFlag, size }: MemberHeader): Promise<TarExtension> {
    this.#extensions += size
    if (size > TAR_LIMITS.extension || this.#extensions > TAR_LIMITS.extensions) {
      throw this.#refused(`${this.#extensions} bytes of extended headers`)
    }
    const content = await this.#reader.peek(size)
    await this.#reader.skip(size)
    await this.#reader.skip(-size & (BLOCK_SIZE - 1))
    // Global records set times and comments; a global path would name every entry alike.
    if (typeFlag === 'g') return {}
    if (typeFlag === 'x') return this.#readRecords(content)
    const name = decodeText(cString(content))
    return typeFlag === 'L' ? { path: name } : { linkPath: name }
  }

  #readRecords(content: Uint8Array): TarExtension {
    const records = ofArchive(this.#archive, () =>
      parsePax(content, () => {
        this.#records += 1
        if (this.#records > TAR_LIMITS.records) throw this.#refused(`${this.#records} records`)
      }),
    )
    for (const key of records.keys()) {
      if (key.startsWith('GNU.sparse.')) throw sparseFiles(this.#archive)
    }
    const read = (key: string): string | undefined => {
      const value = records.get(key as ByteText)
      return value ? decodeText(value) : undefined
    }
    const size = read('size')
    return {
      path: read('path'),
      linkPath: read('linkpath'),
      size: size === undefined ? undefined : toSize(size, this.#archive),
    }
  }

  #refused(what: string): S3loError {
    return new S3loError('INTEGRITY', `${this.#archive} has ${what}, which no image can need`)
  }
}

const EXTENSIONS: ReadonlySet<string> = new Set(['x', 'g', 'L', 'K'])

/** The header of one member, by its own block. */
interface MemberHeader {
  readonly name: string
  readonly typeFlag: string
  /** Bytes. */
  readonly size: number
  readonly linkName: string
}

/** What extended headers say about the member that follows them. */
type TarExtension = { readonly [key in 'path' | 'linkPath']?: string | undefined } & {
  /** Bytes. */
  readonly size?: number | undefined
}

/** Reads a header block; `undefined` for a block of zeros, which ends the archive. */
function readHeader(block: Buffer, archive: string): MemberHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  const { flag, name, linkname, size } = ofArchive(archive, () => parseTarHeader(block))
  return {
    typeFlag: flag,
    name: decodeText(name),
    linkName: decodeText(linkname),
    size: toSize(String(size), archive),
  }
}

/** What reads a part of the archive; its errors name the archive. */
function ofArchive<T>(archive: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!isS3loError(error) || error.message.includes(archive)) throw error
    throw new S3loError(error.code, `${archive}: ${error.message}`, { cause: error })
  }
}

function toSize(text: string, archive: string): number {
  const size = Number(text)
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(size)) return size
  throw new S3loError('INTEGRITY', `${archive} has a header with an impossible size`)
}

/** The error for an archive with sparse files: their content is not what stands in the archive. */
function sparseFiles(archive: string): S3loError {
  return new S3loError('UNSUPPORTED', `${archive} has sparse files`, {
    hint: 'write the archive without --sparse',
  })
}

function extend(header: MemberHeader, { path, linkPath, size }: TarExtension): MemberHeader {
  return {
    typeFlag: header.typeFlag,
    name: path ?? header.name,
    linkName: linkPath ?? header.linkName,
    size: size ?? header.size,
  }
}

function contentSize(entry: TarEntry): number {
  return entry.type === 'file' ? entry.size : 0
}

function toEntry(header: MemberHeader, offset: number, archive: string): TarEntry {
  const { typeFlag, size } = header
  const name = normaliseName(header.name, archive)
  switch (typeFlag) {
    case '\0':
    case '0':
    case '7':
      return header.name.endsWith('/')
        ? { type: 'directory', name }
        : { type: 'file', name, size, offset }
    case '5':
      return { type: 'directory', name }
    case '1':
      return { type: 'link', name, target: normaliseName(header.linkName, archive) }
    case '2':
      return { type: 'link', name, target: resolveSymlink(name, header.linkName, archive) }
    case 'S':
      throw sparseFiles(archive)
    case '3':
    case '4':
    case '6':
      throw new S3loError('INTEGRITY', `${archive} holds a device: ${JSON.stringify(name)}`)
  }
  throw new S3loError(
    'INTEGRITY',
    `${archive} has an entry of unknown type ${JSON.stringify(typeFlag)}: ${JSON.stringify(name)}`,
  )
}

function resolveSymlink(name: string, target: string, archive: string): string {
  if (target.startsWith('/')) throw escapes(target, archive)
  const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/') + 1) : ''
  const parts: string[] = []
  for (const part of `${folder}${target}`.split('/')) {
    if (part === '..' && parts.pop() === undefined) throw escapes(target, archive)
    if (part !== '' && part !== '.' && part !== '..') parts.push(part)
  }
  return normaliseName(parts.join('/'), archive)
}

/** `./a//b/` becomes `a/b`. */
function normaliseName(name: string, archive: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (name.startsWith('/') || name.includes('\0') || name.includes('\\') || parts.includes('..')) {
    throw escapes(name, archive)
  }
  return parts.join('/')
}

function escapes(name: string, archive: string): S3loError {
  const shown = JSON.stringify(name.slice(0, 160))
  return new S3loError('INTEGRITY', `${archive} has an entry that leaves the archive: ${shown}`)
}
