import { S3loError } from '@s3lo/core'
import type { ByteReader } from './byte-reader.ts'
import { BLOCK_SIZE, parseHeader, type TarHeader } from './header.ts'
import { parsePax, sparseFiles, type TarExtension } from './pax.ts'

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

  constructor(reader: ByteReader, archive: string) {
    this.#reader = reader
    this.#archive = archive
  }

  /** The next header of an entry; `undefined` at the end. */
  async next(): Promise<TarHeader | undefined> {
    let extension: TarExtension = {}
    for (let extended = 0; ; extended++) {
      const block = await this.#reader.peek(BLOCK_SIZE)
      // Some writers leave out the blocks that end an archive; what is missing then will be missed.
      if (block.length === 0 && extended === 0 && this.#reader.position > 0) return undefined
      await this.#reader.skip(BLOCK_SIZE)
      const header = parseHeader(block, this.#archive)
      if (!header) return undefined
      if (!EXTENSIONS.has(header.typeFlag)) return extend(header, extension)
      if (extended >= TAR_LIMITS.extensionsOfEntry) {
        throw this.#refused(`more than ${TAR_LIMITS.extensionsOfEntry} extended headers in a row`)
      }
      extension = { ...extension, ...(await this.#readExtension(header)) }
    }
  }

  async #readExtension({ typeFlag, size }: TarHeader): Promise<TarExtension> {
    this.#extensions += size
    if (size > TAR_LIMITS.extension || this.#extensions > TAR_LIMITS.extensions) {
      throw this.#refused(`${this.#extensions} bytes of extended headers`)
    }
    const content = await this.#reader.peek(size)
    await this.#reader.skip(size)
    await this.#reader.skip(-size & (BLOCK_SIZE - 1))
    return readExtension(typeFlag, content, this.#archive)
  }

  #refused(what: string): S3loError {
    return new S3loError('INTEGRITY', `${this.#archive} has ${what}, which no image can need`)
  }
}

const EXTENSIONS: ReadonlySet<string> = new Set(['x', 'g', 'L', 'K'])

function readExtension(typeFlag: string, content: Buffer, archive: string): TarExtension {
  if (typeFlag === 'x') return parsePax(content, archive)
  // Global records set times and comments; a global path would name every entry alike.
  if (typeFlag === 'g') return {}
  const nul = content.indexOf(0)
  const name = content.toString('utf8', 0, nul < 0 ? content.length : nul)
  return typeFlag === 'L' ? { path: name } : { linkPath: name }
}

function extend(header: TarHeader, { path, linkPath, size }: TarExtension): TarHeader {
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

function toEntry(header: TarHeader, offset: number, archive: string): TarEntry {
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
