import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { type ByteRange, type CallOptions, readAll, S3loError } from '@s3lo/core'
import { abortable } from '../stream/abortable.ts'
import type { LayoutFiles } from '../layout/layout-files.ts'
import { FileReader } from './byte-reader.ts'
import { FileRange } from './file-range.ts'
import { readTar } from './tar-reader.ts'

/** Legacy archives link a repeated layer to its first copy: one hop, and never a long chain. */
const MAX_LINKS = 8

interface StoredFile {
  readonly offset: number
  /** Bytes. */
  readonly size: number
}

/** Where each file of a tar archive on disk stands: headers are read once, content when asked for. */
export class TarIndex implements LayoutFiles {
  readonly name: string
  readonly #handle: FileHandle
  readonly #files: ReadonlyMap<string, StoredFile>
  readonly #links: ReadonlyMap<string, string>

  private constructor(
    name: string,
    handle: FileHandle,
    files: ReadonlyMap<string, StoredFile>,
    links: ReadonlyMap<string, string>,
  ) {
    this.name = name
    this.#handle = handle
    this.#files = files
    this.#links = links
  }

  /**
   * Scans the headers of a regular file, which is the index's from then on. Throws `INTEGRITY` for
   * a hostile or damaged archive.
   */
  static async read(
    handle: FileHandle,
    name: string,
    { signal }: CallOptions = {},
  ): Promise<TarIndex> {
    try {
      const files = new Map<string, StoredFile>()
      const links = new Map<string, string>()
      const { size } = await handle.stat()
      for await (const entry of readTar(new FileReader(handle, size, name), name)) {
        signal?.throwIfAborted()
        if (entry.type === 'directory') continue
        if (files.has(entry.name) || links.has(entry.name)) throw repeated(name, entry.name)
        if (entry.type === 'file') files.set(entry.name, { offset: entry.offset, size: entry.size })
        else links.set(entry.name, entry.target)
      }
      return new TarIndex(name, handle, files, links)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** The size of a file in bytes, `undefined` when there is none; links are followed inside the archive. */
  async size(path: string): Promise<number | undefined> {
    return this.#find(path)?.size
  }

  /** A stretch of a file's bytes. Throws `NOT_FOUND`. */
  async content(path: string, range?: ByteRange, { signal }: CallOptions = {}): Promise<Readable> {
    const { offset, size } = this.#require(path)
    const start = Math.min(range?.start ?? 0, size)
    const end = Math.min(range?.end ?? size, size)
    const stretch = new FileRange(
      this.#handle,
      offset + start,
      offset + Math.max(start, end),
      this.name,
    )
    return abortable(stretch, signal)
  }

  /** A small file, whole. Throws `NOT_FOUND`, and `INTEGRITY` past `limit` bytes. */
  async read(path: string, limit: number, options?: CallOptions): Promise<Uint8Array> {
    const { size } = this.#require(path)
    if (size > limit) {
      throw new S3loError('INTEGRITY', `${path} in ${this.name} is larger than ${limit} bytes`)
    }
    const content = await this.content(path, undefined, options)
    return readAll(content, limit, `${path} in ${this.name}`)
  }

  /** The first bytes of a file, fewer where it is shorter. */
  async head(path: string, size: number): Promise<Buffer> {
    const stored = this.#require(path)
    const buffer = Buffer.alloc(Math.min(size, stored.size))
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, stored.offset)
    return buffer.subarray(0, bytesRead)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  #require(path: string): StoredFile {
    const stored = this.#find(path)
    if (stored) return stored
    throw new S3loError('NOT_FOUND', `${this.name} has no ${JSON.stringify(path.slice(0, 160))}`)
  }

  #find(path: string): StoredFile | undefined {
    return this.#files.get(followLinks(path, this.#links))
  }
}

/** Where a name leads, through at most a few links. */
export function followLinks(path: string, links: ReadonlyMap<string, string>): string {
  let at = path
  for (let hops = 0; hops < MAX_LINKS; hops++) {
    const next = links.get(at)
    if (next === undefined) return at
    at = next
  }
  throw new S3loError('INTEGRITY', `${JSON.stringify(path.slice(0, 160))} is linked in a circle`)
}

/** The error for an archive that holds two files of one name: which is meant depends on the reader. */
export function repeated(archive: string, path: string): S3loError {
  const shown = JSON.stringify(path.slice(0, 160))
  return new S3loError('INTEGRITY', `${archive} holds ${shown} more than once`)
}
