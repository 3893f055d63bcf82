import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type {
  BackendGuarantees,
  CopyOptions,
  DeadlineOptions,
  DeleteFailure,
  GetOptions,
  ListOptions,
  MoveOptions,
  ObjectBody,
  ObjectInfo,
  PutOptions,
  StorageBackend,
} from '../contract/storage-backend.ts'
import { S3loError, toS3loError } from '../errors.ts'
import { byUtf8 } from '../layout/key-order.ts'

/** What a {@link MemoryBackend} can be made with. */
export interface MemoryBackendOptions {
  readonly bucket?: string | undefined
  /** The store's clock: it dates objects and judges deadlines. */
  readonly now?: (() => Date) | undefined
  /** Set a guarantee to false to get a store that refuses what it does not promise. */
  readonly guarantees?: Partial<BackendGuarantees> | undefined
}

interface StoredObject {
  readonly info: ObjectInfo
  readonly bytes: Uint8Array
}

const CHUNK_BYTES = 64 * 1024

/**
 * The reference implementation of `StorageBackend`, for tests. The etag is a hash of the content,
 * as in S3: a rewrite with equal bytes keeps it, so no test can come to rely on a version counter.
 */
export class MemoryBackend implements StorageBackend {
  readonly scheme = 'memory'
  readonly bucket: string
  readonly guarantees: BackendGuarantees
  readonly #now: () => Date
  readonly #objects = new Map<string, StoredObject>()
  /** In order; every change makes another list, so that those who read one are not disturbed. */
  #sortedKeys: readonly string[] = []

  constructor({ bucket = 'memory', now, guarantees }: MemoryBackendOptions = {}) {
    this.bucket = bucket
    this.#now = now ?? (() => new Date())
    this.guarantees = { createOnly: true, compareAndSwap: true, deadlines: true, ...guarantees }
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    return this.#objects.get(key)?.info
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    signal?.throwIfAborted()
    const { info, bytes } = this.#require(key)
    const body = Readable.from(slices(bytes.subarray(range?.start ?? 0, range?.end)), {
      objectMode: false,
    })
    destroyOnAbort(body, signal)
    return { info, body }
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    try {
      options.signal?.throwIfAborted()
      this.#assertPromised(options)
      this.#assertAllowed(key, options)
      const bytes = await collect(key, body, options)
      // No await between the second check and the write: that is what makes both one step.
      this.#assertAllowed(key, options)
      return this.#store(key, bytes, options)
    } finally {
      if (!(body instanceof Uint8Array)) body.destroy()
    }
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    options.signal?.throwIfAborted()
    this.#assertPromised(options)
    const failures: DeleteFailure[] = []
    for (const key of keys) {
      try {
        this.#assertInTime(key, options)
        this.#remove(key)
      } catch (error) {
        failures.push({ key, error: toS3loError(error, 'INTERNAL', `cannot delete ${key}`) })
      }
    }
    return failures
  }

  async *list(
    prefix: string,
    { startAfter, signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo, void> {
    signal?.throwIfAborted()
    const keys = this.#sortedKeys
    const isAfter = startAfter !== undefined && byUtf8(startAfter, prefix) >= 0
    let place = this.#placeOf(isAfter ? startAfter : prefix)
    if (startAfter !== undefined && keys[place] === startAfter) place++
    for (; place < keys.length; place++) {
      const key = keys[place] ?? ''
      if (!key.startsWith(prefix)) return
      signal?.throwIfAborted()
      const object = this.#objects.get(key)
      if (object !== undefined) yield object.info
    }
  }

  async *listPrefixes(prefix: string, options: CallOptions = {}): AsyncGenerator<string, void> {
    let last: string | undefined
    for await (const { key } of this.list(prefix, options)) {
      const slash = key.indexOf('/', prefix.length)
      if (slash === -1) continue
      const folder = key.slice(0, slash + 1)
      if (folder !== last) yield folder
      last = folder
    }
  }

  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { sourceEtag, signal }: CopyOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof MemoryBackend)) return undefined
    assertKey(key)
    return this.#copy(source, sourceKey, key, sourceEtag)
  }

  async move(
    sourceKey: string,
    key: string,
    { sourceEtag, condition, signal }: MoveOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    this.#assertPromised({ condition })
    this.#assertAllowed(key, { condition })
    const info = this.#copy(this, sourceKey, key, sourceEtag)
    if (sourceKey !== key) this.#remove(sourceKey)
    return info
  }

  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    signal?.throwIfAborted()
    const { bytes, info } = this.#require(key)
    const touched = { ...info, lastModified: this.#now() }
    this.#objects.set(key, { bytes, info: touched })
    return touched
  }

  #copy(
    source: MemoryBackend,
    sourceKey: string,
    key: string,
    sourceEtag: string | undefined,
  ): ObjectInfo {
    const { bytes, info } = source.#require(sourceKey)
    if (sourceEtag !== undefined && sourceEtag !== info.etag) {
      throw new S3loError('CONFLICT', `${source.#url(sourceKey)} has changed`)
    }
    return this.#store(key, bytes, { storageClass: toStorageClass(info.storageClass) })
  }

  #remove(key: string): void {
    if (!this.#objects.delete(key)) return
    this.#sortedKeys = this.#sortedKeys.toSpliced(this.#placeOf(key), 1)
  }

  #require(key: string): StoredObject {
    const object = this.#objects.get(key)
    if (object === undefined) throw new S3loError('NOT_FOUND', `${this.#url(key)} does not exist`)
    return object
  }

  #store(key: string, bytes: Uint8Array, { storageClass }: PutOptions): ObjectInfo {
    const info: ObjectInfo = {
      key,
      size: bytes.byteLength,
      etag: createHash('sha256').update(bytes).digest('hex'),
      lastModified: this.#now(),
      ...(storageClass !== undefined && { storageClass }),
    }
    if (!this.#objects.has(key)) {
      this.#sortedKeys = this.#sortedKeys.toSpliced(this.#placeOf(key), 0, key)
    }
    this.#objects.set(key, { info, bytes })
    return info
  }

  /** Where a key is among the sorted ones, or would be. */
  #placeOf(key: string): number {
    let low = 0
    let high = this.#sortedKeys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (byUtf8(this.#sortedKeys[middle] ?? '', key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #assertPromised({ condition, notAfter }: PutOptions): void {
    const { createOnly, compareAndSwap, deadlines } = this.guarantees
    const missing =
      (condition?.kind === 'absent' && !createOnly && 'create-only writes') ||
      (condition?.kind === 'unchanged' && !compareAndSwap && 'compare-and-swap writes') ||
      (notAfter !== undefined && !deadlines && 'deadlines')
    if (missing) throw new S3loError('UNSUPPORTED', `memory://${this.bucket} has no ${missing}`)
  }

  #assertAllowed(key: string, options: PutOptions): void {
    assertKey(key)
    this.#assertInTime(key, options)
    const { condition } = options
    if (condition === undefined) return
    const current = this.#objects.get(key)?.info
    const holds =
      condition.kind === 'absent' ? current === undefined : current?.etag === condition.etag
    if (holds) return
    const reason = condition.kind === 'absent' ? 'exists already' : 'has changed'
    throw new S3loError('CONFLICT', `${this.#url(key)} ${reason}`)
  }

  #assertInTime(key: string, { notAfter }: DeadlineOptions): void {
    if (notAfter === undefined || this.#now() <= notAfter) return
    throw new S3loError('FORBIDDEN', `the deadline for ${this.#url(key)} has passed`)
  }

  #url(key: string): string {
    return `memory://${this.bucket}/${key}`
  }
}

function assertKey(key: string): void {
  if (key === '') throw new S3loError('INVALID_REFERENCE', 'a key cannot be empty')
}

/** The whole body in memory of our own, or an `INTEGRITY` error when it is not `size` bytes long. */
async function collect(
  key: string,
  body: Uint8Array | Readable,
  { size, signal }: PutOptions,
): Promise<Uint8Array> {
  const bytes = body instanceof Uint8Array ? Uint8Array.from(body) : await drain(body, signal)
  if (size === undefined || size === bytes.byteLength) return bytes
  throw new S3loError('INTEGRITY', `${key} has ${bytes.byteLength} bytes instead of ${size}`)
}

async function drain(body: Readable, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const stop = (): void => void body.destroy()
  signal?.addEventListener('abort', stop, { once: true })
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk))
  } catch (error) {
    // The stream only says that it closed early; the signal knows why.
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
  signal?.throwIfAborted()
  return Buffer.concat(chunks)
}

function* slices(bytes: Uint8Array): Generator<Buffer, void> {
  for (let start = 0; start < bytes.byteLength; start += CHUNK_BYTES) {
    yield Buffer.from(bytes.subarray(start, start + CHUNK_BYTES))
  }
}

function destroyOnAbort(body: Readable, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  const stop = (): void => void body.destroy(signal.reason)
  // The body may fail before it is read, which must not crash the process; its reader gets the error.
  body.on('error', () => {})
  body.once('close', () => signal.removeEventListener('abort', stop))
  signal.addEventListener('abort', stop, { once: true })
}

function toStorageClass(storageClass: string | undefined): PutOptions['storageClass'] {
  return storageClass === 'standard' || storageClass === 'tiered' ? storageClass : undefined
}
