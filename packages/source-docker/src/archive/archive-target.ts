import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import {
  type CallOptions,
  type ContentSource,
  isStandardOutput,
  type ManifestDocument,
  type Reference,
  S3loError,
  type StreamingTarget,
} from '@s3lo/core'
import { toFileError } from '../file-error.ts'
import { writeAtomically } from '../stream/write-atomically.ts'
import { type TarFile, writeTar } from '../tar/tar-writer.ts'

/** What an archive of one kind consists of. */
export interface ArchiveFormat {
  /** The transport, for messages. */
  readonly transport: string
  readonly acceptsIndex: boolean
  files(
    root: ManifestDocument,
    source: ContentSource,
    reference: Reference,
    options: CallOptions,
  ): AsyncIterable<TarFile>
}

/**
 * An archive file to write: it appears whole under its name, in place of one that was there, or
 * not at all; `-` is the standard output. A pipe or device gets the archive as it comes. Equal images give equal files.
 */
export class ArchiveTarget implements StreamingTarget {
  readonly kind = 'streaming'
  readonly name: string
  readonly #path: string
  readonly #format: ArchiveFormat

  constructor(path: string, format: ArchiveFormat) {
    this.#path = path
    this.#format = format
    this.name = `${format.transport} ${path}`
  }

  async acceptsIndex(): Promise<boolean> {
    return this.#format.acceptsIndex
  }

  async receive(
    root: ManifestDocument,
    source: ContentSource,
    reference: Reference,
    options: CallOptions = {},
  ): Promise<void> {
    const content = writeTar(this.#format.files(root, source, reference, options), options)
    if (isStandardOutput(this.#path)) return this.#print(content, options)
    if (await this.#takesStream()) return this.#send(content, options)
    await writeAtomically(this.#path, content, options)
  }

  /** What was written stays written: only the reader can tell whether the archive has its end. */
  async #print(content: AsyncIterable<Uint8Array>, { signal }: CallOptions): Promise<void> {
    const { stdout } = process
    if (stdout.isTTY) {
      throw new S3loError('USAGE', `${this.name} would print the archive to the terminal`, {
        hint: 'write it to a pipe or a file',
      })
    }
    try {
      await pipeline(content, stdout, { end: false, ...(signal ? { signal } : {}) })
    } catch (error) {
      signal?.throwIfAborted()
      throw toFileError(error, this.name)
    }
  }

  /** As to the standard output: the reader of a pipe sees the content as it comes. */
  async #send(content: AsyncIterable<Uint8Array>, options: CallOptions): Promise<void> {
    const { replaceFile } = await import('@s3lo/core/command')
    await replaceFile(this.#path, content, options)
  }

  /** Throws `UNSUPPORTED` for a folder, which can be neither replaced nor written. */
  async #takesStream(): Promise<boolean> {
    const { takesStream } = await import('@s3lo/core/command')
    try {
      if (!(await takesStream(this.#path))) return false
      if (!(await stat(this.#path)).isDirectory()) return true
      throw new S3loError('UNSUPPORTED', `${this.name} is a folder`, {
        hint: 'name a file in it, a pipe, or - for the standard output',
      })
    } catch (error) {
      throw toFileError(error, this.name)
    }
  }
}
