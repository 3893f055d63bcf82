import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readBoundedFile } from '../stream/bounded-file.ts'
import { cacheFolder, type Environment } from './cache-folder.ts'
import { makeFolder } from './make-folder.ts'

/**
 * A JSON document in the user's cache folder. It only spares time: what is missing, damaged, too
 * large or cannot be written is as if nothing had been kept. Processes may use it at the same time:
 * each writes it as a whole, and the last one is read.
 */
export class CacheFile {
  readonly #path: string | undefined
  readonly #maxBytes: number

  /** `name` is that of the file in the folder of s3lo. */
  constructor(env: Environment, name: string, maxBytes: number) {
    const folder = cacheFolder(env)
    this.#path = folder === undefined ? undefined : join(folder, name)
    this.#maxBytes = maxBytes
  }

  /** The document; `undefined` when there is none that can be read. */
  async read(): Promise<unknown> {
    if (this.#path === undefined) return undefined
    try {
      return JSON.parse((await readBoundedFile(this.#path, this.#maxBytes)).toString('utf8'))
    } catch {
      return undefined
    }
  }

  /** Keeps the document, for its owner alone; not one that would be too large to be read. */
  async write(document: unknown): Promise<void> {
    const text = JSON.stringify(document)
    if (this.#path === undefined || Buffer.byteLength(text) > this.#maxBytes) return
    const part = `${this.#path}.${randomUUID()}`
    try {
      await makeFolder(dirname(this.#path), { mode: 0o700 })
      await writeFile(part, text, { mode: 0o600 })
      await rename(part, this.#path)
    } catch {
      await rm(part, { force: true }).catch(() => {})
    }
  }
}
