import {
  type BackendGuarantees,
  type ByteRange,
  type CallOptions,
  type CopyOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  type GetOptions,
  type ListOptions,
  type MoveOptions,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
  S3loError,
  type StorageBackend,
} from '@s3lo/core/plugin'
import type { Readable } from 'node:stream'
import { toLocalError, translating, translatingNow } from './errors.ts'
import { fileBody } from './file-body.ts'
import { listFolders, listKeys, listObjects } from './list-keys.ts'
import { toObjectInfo } from './object-info.ts'
import { openObject } from './open-object.ts'
import { StoreRoot } from './store-root.ts'

/**
 * A plain directory as a bucket: the key is the path below it. Puts are atomic and durable, also
 * between processes and beside the Go program; see `publish` for how conditions hold. What changes
 * the store is in `changes.ts`, which a program that only reads never loads.
 */
export class LocalBackend implements StorageBackend {
  readonly scheme = 'local'
  readonly bucket: string
  readonly guarantees: BackendGuarantees = {
    createOnly: true,
    compareAndSwap: true,
    deadlines: true,
    endsWithProcess: true,
  }
  readonly #root: StoreRoot
  #sweep: Promise<void> | undefined

  constructor(bucket: string) {
    this.bucket = bucket
    this.#root = new StoreRoot(bucket)
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    const stats = translatingNow(this.#name(key), () => this.#root.stat(key))
    return stats && toObjectInfo(key, stats)
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    signal?.throwIfAborted()
    assertRange(range)
    const { fd, stats } = openObject(this.#root, key)
    const info = toObjectInfo(key, stats)
    const start = range?.start ?? 0
    const end = Math.min(range?.end ?? info.size, info.size)
    return { info, body: fileBody(fd, { start, end, name: this.#name(key), signal }) }
  }

  /** A hard link, where the file is on the store's own file system. */
  async linkTo(key: string, file: string, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const { linkObject } = await import('./link-object.ts')
    const info = await this.head(key, options)
    return info && (await linkObject(this.#root.locate(key), file)) ? info : undefined
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    // The body may emit an error before it is read: it is swallowed here, and its reader gets it later.
    if (!(body instanceof Uint8Array)) body.on('error', () => {})
    const { putObject, sweepStaleFiles } = await import('./changes.ts')
    this.#sweep ??= sweepStaleFiles(this.#root).catch(() => {
      // Only tidiness is lost: the leftovers are swept by the next process that may remove them.
    })
    return putObject(this.#root, key, body, options)
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    const { deleteObjects } = await import('./changes.ts')
    return deleteObjects(this.#root, keys, options)
  }

  list(prefix: string, { startAfter, signal }: ListOptions = {}): AsyncGenerator<ObjectInfo, void> {
    return listObjects(this.#root, { prefix, startAfter, signal })
  }

  listKeys(prefix: string, { startAfter, signal }: ListOptions = {}): AsyncGenerator<string, void> {
    return listKeys(this.#root, { prefix, startAfter, signal })
  }

  async *listPrefixes(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<string, void> {
    try {
      yield* listFolders(this.#root, { prefix, signal })
    } catch (error) {
      throw toLocalError(error, this.#name(prefix))
    }
  }

  /**
   * Copies inside this directory. Another one is foreign, although its files could be read: what
   * is carried over from there has to pass through the caller, who verifies it.
   */
  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { sourceEtag, signal }: CopyOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof LocalBackend) || source.#root.path !== this.#root.path) return undefined
    const { copyObject } = await import('./changes.ts')
    return copyObject(this.#root, sourceKey, key, { sourceEtag, signal })
  }

  /** A rename. A file that cannot get a second name, or that is another user's, has to be copied. */
  async move(
    sourceKey: string,
    key: string,
    options: MoveOptions = {},
  ): Promise<ObjectInfo | undefined> {
    options.signal?.throwIfAborted()
    const { moveObject } = await import('./changes.ts')
    return moveObject(this.#root, sourceKey, key, options)
  }

  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const { touchObject } = await import('./changes.ts')
    return touchObject(this.#root, key, { signal })
  }

  /** The file system's time. `undefined` for a folder that no s3lo has written to, or that is read-only. */
  async now({ signal }: CallOptions = {}): Promise<Date | undefined> {
    signal?.throwIfAborted()
    const { timeByNewFile } = await import('./file-time.ts')
    return translating(this.#name(''), () => timeByNewFile(this.#root))
  }

  /** Remarks on the disk: its space, and whether it is another machine's. */
  async *diagnose({ signal }: CallOptions = {}): AsyncGenerator<Finding, void> {
    signal?.throwIfAborted()
    const { diagnoseFolder } = await import('./diagnose.ts')
    try {
      yield* diagnoseFolder(this.#root.real())
    } catch (error) {
      throw toLocalError(error, this.#name(''))
    }
  }

  /** Waits for the cleaning of leftovers that the first `put` started. */
  async close(): Promise<void> {
    await this.#sweep
  }

  #name(key: string): string {
    return this.#root.name(key)
  }
}

function assertRange(range: ByteRange | undefined): void {
  const { start = 0, end = start } = range ?? {}
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start) return
  throw new S3loError('USAGE', `${start}-${end} is not a range of bytes`)
}
