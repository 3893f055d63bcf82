import { realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { Readable } from 'node:stream'
import { type ByteRange, type CallOptions, readAll, S3loError } from '@s3lo/core'
import { openFile, systemCode, toFileError } from '../file-error.ts'
import { abortable } from '../stream/abortable.ts'
import type { LayoutFiles } from './layout-files.ts'

const READ_SIZE = 256 * 1024

/** A layout in a directory. A symbolic link that leaves the directory is refused with `INTEGRITY`. */
export class LayoutDirectory implements LayoutFiles {
  readonly name: string
  readonly #root: string

  constructor(root: string) {
    this.#root = root
    this.name = `oci layout ${root}`
  }

  async size(path: string): Promise<number | undefined> {
    const file = await this.#locate(path)
    if (file === undefined) return undefined
    const handle = await openFile(file, this.name)
    try {
      return (await handle.stat()).size
    } finally {
      await handle.close()
    }
  }

  async content(path: string, range?: ByteRange, { signal }: CallOptions = {}): Promise<Readable> {
    signal?.throwIfAborted()
    const file = await this.#locate(path)
    if (file === undefined) throw new S3loError('NOT_FOUND', `${this.name} has no ${path}`)
    const start = range?.start ?? 0
    if (range?.end !== undefined && range.end <= start) return Readable.from([])
    const handle = await openFile(file, this.name)
    const end = range?.end === undefined ? {} : { end: range.end - 1 }
    const stream = handle.createReadStream({ start, ...end, highWaterMark: READ_SIZE })
    return abortable(stream, signal)
  }

  async read(path: string, limit: number, options?: CallOptions): Promise<Uint8Array> {
    return readAll(await this.content(path, undefined, options), limit, `${path} of ${this.name}`)
  }

  async close(): Promise<void> {}

  async #locate(path: string): Promise<string | undefined> {
    return locateInside(this.#root, path, this.name)
  }
}

/**
 * The real path of a file below `root`; `undefined` when there is none. Throws `INTEGRITY` when
 * links lead out of `root`.
 */
export async function locateInside(
  root: string,
  path: string,
  name: string,
): Promise<string | undefined> {
  const [folder, file] = await Promise.all([
    followLinks(root, name),
    followLinks(join(root, path), name),
  ])
  if (folder === undefined || file === undefined) return undefined
  const inside = folder.endsWith(sep) ? folder : `${folder}${sep}`
  if (file.startsWith(inside)) return file
  throw new S3loError('INTEGRITY', `${path} of ${name} is a link that leaves the layout`)
}

async function followLinks(path: string, name: string): Promise<string | undefined> {
  try {
    return await realpath(path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw toFileError(error, name)
  }
}
