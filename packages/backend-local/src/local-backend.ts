import { unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import {
  type BackendGuarantees,
  type ByteRange,
  type CallOptions,
  type DeadlineOptions,
  type DeleteFailure,
  forEachConcurrent,
  type GetOptions,
  type ListOptions,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
  S3loError,
  type StorageBackend,
  toS3loError,
} from '@s3lo/core/plugin'
import { ignoring, toLocalError, translating } from './errors.ts'
import { FileBody } from './file-body.ts'
import { writeBody } from './file-writer.ts'
import { listFolders, listObjects } from './list-keys.ts'
import { stampNow, toObjectInfo } from './object-info.ts'
import { assertAllowed, assertInTime, publish, syncDirectory, underLocks } from './publish.ts'
import { StagedFile } from './staged-file.ts'
import { sweepStaleFiles } from './stale-files.ts'
import { StoreRoot } from './store-root.ts'

/** What a {@link LocalBackend} can be made with. */
export interface LocalBackendOptions {
  /** The clock that deadlines are judged by. */
  readonly now?: (() => Date) | undefined
}

const DELETES_AT_ONCE = 8

/**
 * A plain directory as a bucket: the key is the path below it. Puts are atomic and durable, also
 * between processes and beside the Go program; see `publish` for how conditions hold.
 */
export class LocalBackend implements StorageBackend {
  readonly scheme = 'local'
  readonly bucket: string
  readonly guarantees: BackendGuarantees = {
    createOnly: true,
    compareAndSwap: true,
    deadlines: true,
  }
  readonly #root: StoreRoot
  readonly #now: () => Date
  #sweep: Promise<void> | undefined

  constructor(bucket: string, { now }: LocalBackendOptions = {}) {
    this.bucket = bucket
    this.#root = new StoreRoot(bucket)
    this.#now = now ?? (() => new Date())
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    const stats = await translating(this.#name(key), () => this.#root.stat(key))
    return stats && toObjectInfo(key, stats)
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    signal?.throwIfAborted()
    assertRange(range)
    const { handle, stats } = await this.#open(key)
    if (signal?.aborted) {
      await handle.close()
      throw signal.reason
    }
    const info = toObjectInfo(key, stats)
    const start = range?.start ?? 0
    const end = Math.min(range?.end ?? info.size, info.size)
    return { info, body: new FileBody(handle, { start, end, name: this.#name(key), signal }) }
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    const change = { ...options, now: this.#now }
    try {
      options.signal?.throwIfAborted()
      // What is certain to be refused is refused before a byte is read.
      await translating(this.#name(key), () => assertAllowed(this.#root, key, change))
      const staged = await StagedFile.create(this.#root, this.#name(key))
      try {
        this.#sweepOnce()
        await writeBody(staged.handle, body, { ...options, name: this.#name(key) })
        return await translating(this.#name(key), () => publish(this.#root, staged, key, change))
      } finally {
        await staged.discard()
      }
    } finally {
      if (!(body instanceof Uint8Array)) body.destroy()
    }
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    const { signal } = options
    signal?.throwIfAborted()
    const failures = new Map<string, S3loError>()
    const folders = new Set<string>()
    // Deletes with a deadline take turns anyway.
    const limit = options.notAfter === undefined ? DELETES_AT_ONCE : 1
    const remove = async (key: string): Promise<void> => {
      try {
        const folder = await this.#remove(key, options)
        if (folder !== undefined) folders.add(folder)
      } catch (error) {
        signal?.throwIfAborted()
        const local = toLocalError(error, this.#name(key))
        failures.set(key, toS3loError(local, 'IO', `cannot delete ${this.#name(key)}`))
      }
    }
    await forEachConcurrent(new Set(keys), limit, remove, signal)
    await translating(this.#name(''), async () => {
      for (const folder of folders) await syncDirectory(await this.#root.prune(folder))
    })
    return [...failures].map(([key, error]) => ({ key, error }))
  }

  async *list(
    prefix: string,
    { startAfter, signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo, void> {
    try {
      yield* listObjects(this.#root, { prefix, startAfter, signal })
    } catch (error) {
      throw toLocalError(error, this.#name(prefix))
    }
  }

  async *listPrefixes(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<string, void> {
    try {
      yield* listFolders(this.#root, { prefix, signal })
    } catch (error) {
      throw toLocalError(error, this.#name(prefix))
    }
  }

  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { signal }: CallOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof LocalBackend)) return undefined
    const name = this.#name(key)
    const { handle, stats } = await source.#open(sourceKey)
    const body = new FileBody(handle, { start: 0, end: Number(stats.size), name, signal })
    try {
      const there = await translating(name, () => this.#root.stat(key))
      // Onto itself, by whatever spelling of the root: there is nothing to do, and nothing to lose.
      if (there?.ino === stats.ino && there.dev === stats.dev) return toObjectInfo(key, there)
      const cloned = await StagedFile.clone(this.#root, source.#root.locate(sourceKey), name)
      const staged = cloned ?? (await StagedFile.create(this.#root, name))
      try {
        // Where blocks cannot be shared the bytes are written again, which a signal can stop.
        if (cloned === undefined) {
          await writeBody(staged.handle, body, { name, signal, size: Number(stats.size) })
        }
        const change = { signal, now: this.#now }
        return await translating(name, () => publish(this.#root, staged, key, change))
      } finally {
        await staged.discard()
      }
    } finally {
      body.destroy()
    }
  }

  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    signal?.throwIfAborted()
    // Before the lock, whose making would create a store that is not there.
    if ((await this.head(key, { signal })) === undefined) throw this.#missing(key)
    return translating(this.#name(key), () =>
      underLocks(this.#root, key, { signal, now: this.#now }, async () => {
        const { handle } = await this.#open(key)
        try {
          await stampNow(handle)
          return toObjectInfo(key, await handle.stat({ bigint: true }))
        } finally {
          await handle.close()
        }
      }),
    )
  }

  /** Waits for the cleaning of leftovers that the first `put` started. */
  async close(): Promise<void> {
    await this.#sweep
  }

  async #open(key: string): Promise<NonNullable<Awaited<ReturnType<StoreRoot['open']>>>> {
    const opened = await translating(this.#name(key), () => this.#root.open(key))
    if (opened === undefined) throw this.#missing(key)
    return opened
  }

  /** Removes one object; gives the folder it was in, or `undefined` when there was none. */
  async #remove(key: string, options: DeadlineOptions): Promise<string | undefined> {
    const change = { ...options, now: this.#now }
    assertInTime(this.#root, key, change)
    if ((await this.#root.stat(key)) === undefined) return undefined
    const path = this.#root.locate(key)
    await underLocks(this.#root, key, change, async () => {
      options.signal?.throwIfAborted()
      assertInTime(this.#root, key, change)
      if ((await this.#root.stat(key)) !== undefined) await unlink(path).catch(ignoring('ENOENT'))
    })
    return dirname(path)
  }

  #sweepOnce(): void {
    this.#sweep ??= sweepStaleFiles(this.#root).catch(() => {
      // Only tidiness is lost: the leftovers are swept by the next process that may remove them.
    })
  }

  #missing(key: string): S3loError {
    return new S3loError('NOT_FOUND', `${this.#name(key)} does not exist`)
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
