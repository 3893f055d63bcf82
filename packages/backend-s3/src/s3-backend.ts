import type { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import {
  type AbandonedUpload,
  type BackendGuarantees,
  type BackendOptions,
  type CallOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  type GetOptions,
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
  guardedWrite,
  isTrusted,
  probe,
  type UnguardedPutOptions,
  type UnguardedStore,
  ByteBudget,
  RequestError,
  Requests,
  type RetryPolicy,
  toThrown,
  untilAborted,
} from '@s3lo/core/transfer'
import { CapabilityMemory } from './capability-memory.ts'
import { copyObject, touchObject } from './copy.ts'
import { deleteObjects } from './delete.ts'
import { diagnose } from './diagnose.ts'
import { openS3Object } from './download.ts'
import { toFailure } from './errors.ts'
import { GuaranteeRecord } from './guarantee-record.ts'
import { listedDate, listFolders, listObjects } from './list.ts'
import { listUploads } from './list-uploads.ts'
import { toObjectInfo } from './object-info.ts'
import { LONGEST_SIGNATURE_S, S3Service } from './s3-service.ts'
import { PART_BYTES, upload } from './upload.ts'

/** What an {@link S3Backend} can be made with. */
export interface S3BackendOptions extends BackendOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
  /** Bytes of a part; what is not longer is sent in one request. S3 wants at least 5 MiB. */
  readonly partBytes?: number | undefined
  /** Upper bound on concurrent parts across all transfers in one direction; each transfer always gets one. */
  readonly parallelParts?: number | undefined
}

/** Of all transfers together: 2 GiB go through less than 250 MB of memory. */
const PARALLEL_UP = 6
const PARALLEL_DOWN = 8
const ALL: BackendGuarantees = { createOnly: true, compareAndSwap: true, deadlines: true }
const NONE: BackendGuarantees = { createOnly: false, compareAndSwap: false, deadlines: false }

/** A search for what the service guarantees, which all that need it wait for. */
interface Proof {
  readonly outcome: Promise<BackendGuarantees>
  /** Of the call that began it. */
  readonly signal: AbortSignal | undefined
}

/** A bucket of Amazon S3 or of a service that speaks its protocol. */
export class S3Backend implements StorageBackend {
  readonly scheme = 's3'
  readonly bucket: string
  readonly #service: S3Service
  readonly #budget: { readonly up: ByteBudget; readonly down: ByteBudget }
  readonly #pool: BufferPool
  readonly #partBytes: number
  readonly #memory: CapabilityMemory
  readonly #isTrusted: boolean
  readonly #onProgress: BackendOptions['onProgress']
  #guarantees: BackendGuarantees
  #proof: Proof | undefined

  constructor(bucket: string, options: S3BackendOptions) {
    const { retry, partBytes = PART_BYTES, parallelParts } = options
    const requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...retry }, toFailure)
    this.bucket = bucket
    this.#service = new S3Service(bucket, options, requests)
    const up = parallelParts ?? PARALLEL_UP
    const down = parallelParts ?? PARALLEL_DOWN
    this.#budget = { up: new ByteBudget(up * partBytes), down: new ByteBudget(down * partBytes) }
    this.#pool = new BufferPool(partBytes, up)
    this.#partBytes = partBytes
    this.#memory = new CapabilityMemory(options.env)
    this.#isTrusted = this.#service.endpoint.isAws || isTrusted(options)
    this.#guarantees = this.#isTrusted ? ALL : NONE
    this.#onProgress = options.onProgress
  }

  get guarantees(): BackendGuarantees {
    return this.#guarantees
  }

  /**
   * On AWS, and at an endpoint that is trusted, nothing is asked. Elsewhere about a hundred small
   * requests, once in seven days for all clients of the bucket.
   */
  async proveGuarantees({ signal }: CallOptions = {}): Promise<BackendGuarantees> {
    if (this.#isTrusted) return this.#guarantees
    const known = this.#proof
    const proof = known ?? { outcome: this.#prove(signal), signal }
    this.#proof = proof
    try {
      // The call that began it waits until it is cleaned up, also when its signal aborts.
      this.#guarantees = await (known ? untilAborted(known.outcome, signal) : proof.outcome)
      return this.#guarantees
    } catch (error) {
      signal?.throwIfAborted()
      if (this.#proof === proof) this.#proof = undefined
      // The call that began it was aborted, which is no answer for the others that wait.
      if (known?.signal?.aborted) return this.proveGuarantees({ signal })
      throw error
    }
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const settings = this.#about(key, signal)
    try {
      const output = await this.#service.trySend(settings, (client, attempt) =>
        client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key }), {
          abortSignal: attempt.signal,
        }),
      )
      const { ContentLength: size, ETag: etag, StorageClass: storageClass } = output
      let { LastModified: lastModified } = output
      if (etag) lastModified ??= await listedDate(this.#service, key, settings)
      return toObjectInfo(key, { size, etag, lastModified, storageClass })
    } catch (error) {
      if (!(error instanceof RequestError) || error.failure.status !== 404) throw toThrown(error)
      await this.#service.assertBucket({ signal })
      return undefined
    }
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    const settings = this.#about(key, signal)
    return openS3Object(this.#service, {
      ...settings,
      key,
      range,
      parallel: { partBytes: this.#partBytes, budget: this.#budget.down },
      head: async () => {
        const info = await this.head(key, { signal })
        if (info) return info
        throw new S3loError('NOT_FOUND', `${settings.what} does not exist`)
      },
    })
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    const { signal, condition } = options
    const write = {
      what: this.#service.nameOf(key),
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
      return upload(this.#uploads(), key, body, options)
    })
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    options.signal?.throwIfAborted()
    this.#assertPromised(options)
    return deleteObjects(this.#service, keys, options)
  }

  async *list(
    prefix: string,
    { startAfter, signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo, void> {
    yield* listObjects(this.#service, { ...this.#about(prefix, signal), prefix, startAfter })
  }

  async *listPrefixes(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<string, void> {
    yield* listFolders(this.#service, { ...this.#about(prefix, signal), prefix })
  }

  /** Copies between buckets of one service that one access key opens. */
  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { signal }: CallOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof S3Backend)) return undefined
    const from = { service: source.#service, key: sourceKey }
    if (
      from.service !== this.#service &&
      !(await this.#service.isSameAccount(from.service, { signal }))
    ) {
      return undefined
    }
    assertKey(key)
    return copyObject(from, { service: this.#service, key }, { signal })
  }

  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    return touchObject({ service: this.#service, key }, { signal })
  }

  async presignGet(key: string, { expiresInSeconds, signal }: PresignOptions): Promise<URL> {
    signal?.throwIfAborted()
    assertKey(key)
    if (!(expiresInSeconds >= 1 && expiresInSeconds <= LONGEST_SIGNATURE_S)) {
      throw new S3loError(
        'USAGE',
        `presigned URLs must be valid for 1 second to 7 days, not for ${expiresInSeconds} seconds`,
        {
          hint: 'the longest is 7 days: 604800',
        },
      )
    }
    const expiresIn = Math.floor(expiresInSeconds)
    const command = new GetObjectCommand({ Bucket: this.bucket, Key: key })
    const text = await this.#service.sign(this.#about(key, signal), (client) =>
      getSignedUrl(client, command, { expiresIn }),
    )
    return new URL(text)
  }

  async *abandonedUploads({ signal }: CallOptions = {}): AsyncGenerator<AbandonedUpload, void> {
    yield* listUploads(this.#service, this.#about('', signal))
  }

  async abortUpload({ key, id }: AbandonedUpload, { signal }: CallOptions = {}): Promise<void> {
    const input = { Bucket: this.bucket, Key: key, UploadId: id }
    try {
      await this.#service.trySend(this.#about(key, signal), (client, attempt) =>
        client.send(new AbortMultipartUploadCommand(input), { abortSignal: attempt.signal }),
      )
    } catch (error) {
      // Another client has ended it meanwhile.
      if (error instanceof RequestError && error.failure.reason === 'NoSuchUpload') return
      throw toThrown(error)
    }
  }

  async *diagnose({ signal }: CallOptions = {}): AsyncGenerator<Finding, void> {
    yield* diagnose(this.#service, { signal })
  }

  async close(): Promise<void> {
    this.#service.close()
  }

  async #prove(signal: AbortSignal | undefined): Promise<BackendGuarantees> {
    const store = `${this.#service.endpoint.name}/${this.bucket}`
    const remembered = await this.#memory.recall(store)
    if (remembered) return remembered
    const put = (
      key: string,
      body: Uint8Array,
      { inParts = false, hold, ...options }: UnguardedPutOptions = {},
    ): Promise<ObjectInfo> =>
      upload({ ...this.#uploads(), isForcedInParts: inParts, hold }, key, body, options)
    const record = new GuaranteeRecord(this.#service, put)
    const recorded = await record.recall({ signal })
    const guarantees = recorded ?? (await this.#probe(put, signal))
    if (!recorded) await record.write(guarantees, { signal })
    await this.#memory.remember(store, guarantees)
    return guarantees
  }

  async #probe(
    put: UnguardedStore['put'],
    signal: AbortSignal | undefined,
  ): Promise<BackendGuarantees> {
    this.#onProgress?.({
      type: 'notice',
      code: 'probing-service',
      message: `trying out what ${this.#service.endpoint.name} guarantees for s3://${this.bucket}, once in 7 days`,
    })
    const remove: UnguardedStore['delete'] = (keys, options) =>
      deleteObjects(this.#service, keys, options ?? {})
    return probe({ put, delete: remove }, signal)
  }

  #assertPromised({ condition, notAfter }: PutOptions): void {
    const { createOnly, compareAndSwap, deadlines } = this.#guarantees
    const lacks =
      (condition?.kind === 'absent' && !createOnly) ||
      (condition?.kind === 'unchanged' && !compareAndSwap)
        ? 'conditions on writes'
        : notAfter !== undefined && !deadlines
          ? 'deadlines of requests'
          : undefined
    if (lacks === undefined) return
    const message = `s3://${this.bucket} is not known to enforce ${lacks}`
    throw new S3loError('UNSUPPORTED', message, { hint: 's3lo doctor shows what it does' })
  }

  #uploads(): Parameters<typeof upload>[0] {
    return {
      service: this.#service,
      budget: this.#budget.up,
      pool: this.#pool,
      partBytes: this.#partBytes,
    }
  }

  #about(key: string, signal: AbortSignal | undefined): CallSettings {
    return { what: this.#service.nameOf(key), signal }
  }
}

/** Some services and every proxy resolve `.` and `..`, so such a key would lead elsewhere. */
function assertKey(key: string): void {
  const segments = key.split('/')
  const isPath = segments.includes('.') || segments.includes('..')
  if (key !== '' && key.isWellFormed() && !isPath && Buffer.byteLength(key) <= 1024) return
  throw new S3loError('INVALID_REFERENCE', `"${key}" cannot be the name of an object`)
}
