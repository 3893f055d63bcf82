import { createHash } from 'node:crypto'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import type { FoundFile } from '../filesystem/merged-files.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import type { ImageFiles } from './image-files.ts'

/** A plain file of an image. Where an index led to it and turns out to be wrong, it is found again. */
export class ImageFile {
  readonly #image: ImageFiles
  readonly #path: string
  #found: FoundFile
  #entry: TocEntry

  /** Throws `NOT_FOUND` where there is none, `UNSUPPORTED` for what is no plain file. */
  static async find(image: ImageFiles, path: string): Promise<ImageFile> {
    return new ImageFile(image, path, await resolve(image, path))
  }

  private constructor(image: ImageFiles, path: string, found: FoundFile) {
    this.#image = image
    this.#path = path
    this.#found = found
    this.#entry = fileOf(found, path)
  }

  /** Where it is, as far as is known: after {@link content} was taken, this is where it came from. */
  get found(): FoundFile {
    return this.#found
  }

  get entry(): TocEntry {
    return this.#entry
  }

  /**
   * The bytes of the file, to be taken once. A layer whose index is wrong is read whole; throws
   * `INTEGRITY` only where bytes were given that the layer does not hold, or the layer is damaged.
   */
  async *content(options?: CallOptions): AsyncGenerator<Uint8Array> {
    const given = new Given()
    for (;;) {
      try {
        for await (const chunk of this.#image.read(this.#found.layer, this.#entry, options)) {
          const fresh = given.pass(chunk)
          if (fresh.length > 0) yield fresh
        }
        given.finish()
        return
      } catch (error) {
        if (!this.#image.distrust(this.#found.layer, error)) throw error
      }
      this.#found = await resolve(this.#image, this.#path)
      this.#entry = fileOf(this.#found, this.#path)
      given.restart()
    }
  }
}

/**
 * What a path leads to, once the indexes that do not list it were compared with their layers. That
 * of the layer that has it is compared when the file is read.
 */
async function resolve(image: ImageFiles, path: string): Promise<FoundFile> {
  for (;;) {
    const [result] = await Promise.allSettled([image.files.resolve(path)])
    const isFound = result.status === 'fulfilled' && result.value.entry?.type === 'reg'
    if (!(await image.probe(isFound ? result.value.layer : undefined))) continue
    if (result.status === 'rejected') throw result.reason
    return result.value
  }
}

/** Tells what is new of a file that is read again: the bytes before must be those that were given. */
class Given {
  readonly #hash = createHash('sha256')
  #length = 0
  #replay: { readonly hash: ReturnType<typeof createHash>; left: number } | undefined

  pass(chunk: Uint8Array): Uint8Array {
    const length = Math.min(this.#replay?.left ?? 0, chunk.length)
    if (this.#replay && length > 0) {
      this.#replay.hash.update(chunk.subarray(0, length))
      this.#replay.left -= length
      if (this.#replay.left === 0) this.#compare()
    }
    const fresh = chunk.subarray(length)
    this.#hash.update(fresh)
    this.#length += fresh.length
    return fresh
  }

  restart(): void {
    this.#replay =
      this.#length === 0 ? undefined : { hash: createHash('sha256'), left: this.#length }
  }

  finish(): void {
    if (this.#replay && this.#replay.left > 0) throw wrongBytes(this.#length)
  }

  #compare(): void {
    const expected = this.#hash.copy().digest('hex')
    if (this.#replay?.hash.digest('hex') !== expected) throw wrongBytes(this.#length)
  }
}

function wrongBytes(length: number): S3loError {
  return new S3loError(
    'INTEGRITY',
    `an index of the layer is wrong: the first ${length} bytes of the file that were given are not in the layer`,
    { hint: 'run the command again with --whole-layers' },
  )
}

function fileOf({ isDirectory, entry }: FoundFile, path: string): TocEntry {
  if (isDirectory || !entry) {
    throw new S3loError('UNSUPPORTED', `${path} is a directory`, {
      hint: `s3lo files <ref> ${path} lists it`,
    })
  }
  if (entry.isSparse) {
    throw new S3loError('UNSUPPORTED', `${path} is stored as a sparse file, which cannot be read`)
  }
  if (entry.type !== 'reg') {
    throw new S3loError('UNSUPPORTED', `${path} is no file but a device or pipe (${entry.type})`)
  }
  return entry
}
