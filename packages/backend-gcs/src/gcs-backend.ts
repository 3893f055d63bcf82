import type { Readable } from 'node:stream'
import {
  type BackendGuarantees,
  type BackendOptions,
  type CallOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  forEachConcurrent,
  type GetOptions,
  isS3loError,
  type ListOptions,
  type ObjectBody,
  type ObjectInfo,
  type PresignOptions,
  type PutOptions,
  S3loError,
  type StorageBackend,
} from '@s3lo/core/plugin'
import {
  BufferPool,
  type CallSettings,
  DEFAULT_RETRY_POLICY,
  ForeignAnswerError,
  guardedWrite,
  ByteBudget,
  Requests,
  type RetryPolicy,
  toThrown,
} from '@s3lo/core/transfer'
import type { Access } from './access.ts'
import { rewriteObject } from './copy.ts'
import { diagnoseBucket } from './diagnose.ts'
import { download } from './download.ts'
import type { Endpoint } from './endpoint.ts'
import { toFailure } from './errors.ts'
import { assertKey, GcsClient, isMissing, objectPath } from './gcs-client.ts'
import { listFolders, listObjects } from './list.ts'
import { OBJECT_FIELDS, toObjectInfo } from './object-info.ts'
import { proveConditions } from './prove-conditions.ts'
import { LONGEST_SECONDS } from './signed-request.ts'
import { upload } from './upload.ts'

/** What a {@link GcsBackend} can be made with. */
export interface GcsBackendOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
  /** Bytes of a chunk, a multiple of 256 KiB; what is not longer is sent in one request. */
  readonly partBytes?: number | undefined
  /** Memory for parts under way in all transfers together, if not one part of each is more (bytes). */
  readonly parallelBytes?: number | undefined
  /** For HTTPS_PROXY and NO_PROXY. */
  readonly env?: BackendOptions['env'] | undefined
}

const MEBIBYTE = 1024 * 1024
const PART_BYTES = 8 * MEBIBYTE
const PARALLEL_BYTES = 32 * MEBIBYTE
const POOLED_PARTS = 4
const DELETES_AT_ONCE = 16
const NO_CONTENT = 204
/** The key of an object's own metadata that a touch changes. */
const TOUCHED = 's3lo_touched'

/**
 * A bucket of Google Cloud Storage. The etag of an object is its generation. Every object is
 * written to the bucket's own storage class: the colder ones charge for early deletion, which a
 * registry does all the time.
 */
export class GcsBackend implements StorageBackend {
  readonly scheme = 'gs'
  readonly bucket: string
  readonly guarantees: BackendGuarantees
  /** Only with credentials that can sign. */
  readonly presignGet?: (key: string, options: PresignOptions) => Promise<URL>
  readonly #client: GcsClient
  readonly #budget: ByteBudget
  readonly #partBytes: number
  readonly #pool: BufferPool
  /** Google's own service needs no proof that conditions hold. */
  #isProven: boolean

  constructor(bucket: string, endpoint: Endpoint, access: Access, options: GcsBackendOptions = {}) {
    const { retry, partBytes = PART_BYTES, parallelBytes = PARALLEL_BYTES, env = {} } = options
    this.bucket = bucket
    const requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...retry }, toFailure)
    this.#client = new GcsClient(bucket, endpoint, access, requests, env)
    this.#budget = new ByteBudget(parallelBytes)
    this.#partBytes = partBytes
    this.#pool = new BufferPool(partBytes, POOLED_PARTS)
    this.#isProven = endpoint.isGoogle
    const canSign = access.signer !== undefined
    this.guarantees = { createOnly: true, compareAndSwap: true, deadlines: canSign }
    if (canSign) this.presignGet = this.#presignGet.bind(this)
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const settings = this.#about(key, signal)
    try {
      return await this.#look(key, settings)
    } catch (error) {
      if (!isMissing(error)) throw toThrown(error)
    }
    await this.#assertBucket(settings)
    return undefined
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    const settings = this.#about(key, signal)
    const parallel = { partBytes: this.#partBytes, budget: this.#budget }
    const head = (): Promise<ObjectInfo> => this.#existing(key, settings)
    try {
      return await download(this.#client, { ...settings, key, range, parallel, head })
    } catch (error) {
      throw toThrown(error)
    }
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    const { signal, condition } = options
    const write = {
      what: this.#name(key),
      body,
      condition,
      signal,
      check: (): void => {
        assertKey(key)
        this.#assertPromised(options)
      },
      head: (): Promise<ObjectInfo | undefined> => this.head(key, { signal }),
    }
    return guardedWrite(write, async () => {
      if (condition !== undefined) await this.#proveConditions(signal)
      return upload(this.#uploads(), key, body, options)
    })
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    options.signal?.throwIfAborted()
    this.#assertPromised(options)
    const failures = new Map<string, S3loError>()
    await forEachConcurrent(
      keys,
      DELETES_AT_ONCE,
      async (key, signal) => {
        try {
          await this.#deleteObject(key, { ...options, signal })
        } catch (error) {
          if (signal.aborted || !isS3loError(error)) throw error
          failures.set(key, error)
        }
      },
      options.signal,
    )
    options.signal?.throwIfAborted()
    return [...new Set(keys)].flatMap((key) => {
      const error = failures.get(key)
      return error ? [{ key, error }] : []
    })
  }

  async *list(
    prefix: string,
    { startAfter, signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo, void> {
    yield* listObjects(this.#client, { ...this.#about(prefix, signal), prefix, startAfter })
  }

  async *listPrefixes(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<string, void> {
    yield* listFolders(this.#client, { ...this.#about(prefix, signal), prefix })
  }

  /** Copies from every bucket that is opened with the same credentials at the same endpoint. */
  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { signal }: CallOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof GcsBackend) || !this.#sharesAccess(source)) return undefined
    const settings = { what: `${source.#name(sourceKey)} as ${this.#name(key)}`, signal }
    const target = { bucket: this.bucket, key }
    try {
      return await rewriteObject(source.#client, sourceKey, target, settings)
    } catch (error) {
      if (isMissing(error)) {
        await source.#assertBucket(settings)
        await this.#assertBucket(settings)
      }
      throw toThrown(error)
    }
  }

  /**
   * Changes the object's own metadata, which makes its `updated` now and leaves bytes, generation
   * and storage class. A rewrite onto itself would do so too, but would end the generation that
   * others read just now, keep the old one for as long as soft delete says, and charge for it.
   */
  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const settings = this.#about(key, signal)
    const body = [
      Buffer.from(JSON.stringify({ metadata: { [TOUCHED]: new Date().toISOString() } })),
    ]
    const request = {
      method: 'PATCH',
      path: objectPath(key),
      query: { fields: OBJECT_FIELDS },
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body,
    } as const
    try {
      return await this.#client.requests.trySend(settings, async (attempt) =>
        toObjectInfo(await this.#client.json(request, attempt)),
      )
    } catch (error) {
      if (isMissing(error)) await this.#assertBucket(settings)
      throw toThrown(error)
    }
  }

  /** What the bucket's settings mean for images: versioning, soft delete, retention, lifecycle. */
  async *diagnose({ signal }: CallOptions = {}): AsyncGenerator<Finding, void> {
    yield* diagnoseBucket(this.#client, { what: `gs://${this.bucket}`, signal })
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #presignGet(key: string, { expiresInSeconds, signal }: PresignOptions): Promise<URL> {
    signal?.throwIfAborted()
    assertKey(key)
    if (!(expiresInSeconds > 0 && expiresInSeconds <= LONGEST_SECONDS - 600)) {
      throw new S3loError(
        'USAGE',
        `presigned URLs must be valid for 1 second to 7 days, not for ${expiresInSeconds} seconds`,
        {
          hint: 'the longest is 7 days less 10 minutes: 604200',
        },
      )
    }
    const expiresAt = new Date(Date.now() + expiresInSeconds * 1000)
    try {
      const path = await this.#client.signedPath(key, 'GET', expiresAt, { signal })
      return new URL(this.#client.endpoint.origin + path)
    } catch (error) {
      signal?.throwIfAborted()
      throw toFailure(error, this.#name(key)).error
    }
  }

  async #look(key: string, settings: CallSettings): Promise<ObjectInfo> {
    const request = {
      method: 'GET',
      path: objectPath(key),
      query: { fields: OBJECT_FIELDS },
    } as const
    return this.#client.requests.trySend(settings, async (attempt) =>
      toObjectInfo(await this.#client.json(request, attempt)),
    )
  }

  async #existing(key: string, settings: CallSettings): Promise<ObjectInfo> {
    const info = await this.head(key, settings)
    if (info) return info
    throw new S3loError('NOT_FOUND', `${settings.what} does not exist`)
  }

  async #deleteObject(
    key: string,
    { notAfter, onUnanswered, signal }: DeadlineOptions,
  ): Promise<void> {
    const settings = { ...this.#about(key, signal), onUnanswered }
    const request = { method: 'DELETE', path: objectPath(key) } as const
    try {
      await this.#client.requests.trySend(settings, async (attempt) => {
        const answer = await (notAfter
          ? this.#client.timed({ method: 'DELETE', key, notAfter }, attempt)
          : this.#client.open(request, attempt))
        answer.resume()
        if (answer.statusCode === NO_CONTENT) return
        // Not the service's own answer: only that the object is missing says that it was deleted.
        await this.#client.json({ ...request, method: 'GET', query: { fields: 'name' } }, attempt)
        throw new ForeignAnswerError('a deletion after which the object is there')
      })
    } catch (error) {
      if (!isMissing(error)) throw toThrown(error)
      await this.#assertBucket(settings)
    }
  }

  /** Once, and never on behalf of a call that only reads. */
  async #proveConditions(signal: AbortSignal | undefined): Promise<void> {
    if (this.#isProven) return
    await proveConditions({
      name: `gs://${this.bucket}`,
      put: (key, options) => upload(this.#uploads(), key, new Uint8Array(), { ...options, signal }),
      // Without the signal: what an aborted proof has written must go all the same.
      delete: (keys) => this.delete(keys),
    })
    this.#isProven = true
  }

  #uploads(): Parameters<typeof upload>[0] {
    const [client, budget, pool] = [this.#client, this.#budget, this.#pool]
    return { client, budget, pool, partBytes: this.#partBytes }
  }

  async #assertBucket(settings: CallSettings): Promise<void> {
    try {
      await this.#client.assertBucket(settings)
    } catch (error) {
      throw toThrown(error)
    }
  }

  #assertPromised({ notAfter }: DeadlineOptions): void {
    if (notAfter === undefined || this.guarantees.deadlines) return
    throw new S3loError(
      'UNSUPPORTED',
      `gs://${this.bucket} has no deadlines with credentials that cannot sign`,
      { hint: 'use the key of a service account, or set S3LO_GCS_SIGNER' },
    )
  }

  #sharesAccess(source: GcsBackend): boolean {
    const [from, to] = [source.#client, this.#client]
    return (
      from.endpoint.origin === to.endpoint.origin && from.access.identity === to.access.identity
    )
  }

  #about(key: string, signal: AbortSignal | undefined): CallSettings {
    return { what: this.#name(key), signal }
  }

  #name(key: string): string {
    return `gs://${this.bucket}/${key}`
  }
}
