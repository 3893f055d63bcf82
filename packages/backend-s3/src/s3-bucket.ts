import {
  type AbandonedUpload,
  type BackendGuarantees,
  type BackendOptions,
  type CallOptions,
  type Finding,
  type ObjectInfo,
  S3loError,
} from '@s3lo/core/plugin'
import {
  type Attempt,
  type BatchDeletes,
  type CallSettings,
  type CopySettings,
  type Failure,
  type FoundObject,
  isTrusted,
  type ListPage,
  type ListQuery,
  type NetworkService,
  type ObjectPiece,
  type ObjectWrite,
  type PartsUpload,
  type PieceRequest,
  probe,
  type Requests,
  ServiceCalls,
  type ServiceLimits,
  type UnguardedStore,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { CapabilityMemory } from './capability-memory.ts'
import { copyObject, type ObjectPlace, touchObject } from './copy.ts'
import { deleteBatch, deleteObject } from './delete.ts'
import { diagnose } from './diagnose.ts'
import { findObject, openPiece } from './download.ts'
import { GuaranteeRecord } from './guarantee-record.ts'
import { abortUpload, listUploads } from './list-uploads.ts'
import { listPage } from './list.ts'
import { RegionalRequests } from './regional-requests.ts'
import type { S3Service } from './s3-service.ts'
import { LONGEST_SIGNATURE_S } from './signature.ts'
import { MultipartUpload, putObject } from './upload.ts'

/** The most keys that one request deletes. */
const BATCH_KEYS = 1000
const ALL: BackendGuarantees = { createOnly: true, compareAndSwap: true, deadlines: true }
const NONE: BackendGuarantees = { createOnly: false, compareAndSwap: false, deadlines: false }

const LIMITS: ServiceLimits = {
  partBytes: 8 * 1024 * 1024,
  // The service takes no shorter ones.
  leastPartBytes: 5 * 1024 * 1024,
  mostParts: 10_000,
  timedBytes: 64 * 1024,
  // Of all transfers together: 2 GiB go through less than 250 MB of memory.
  partsUp: 6,
  partsDown: 8,
  presignSeconds: LONGEST_SIGNATURE_S,
}

/** A bucket of S3: its requests and what its answers are. */
export class S3Bucket implements NetworkService {
  readonly scheme = 's3'
  readonly bucket: string
  readonly requests: Requests
  readonly limits = LIMITS
  readonly guarantees: BackendGuarantees
  readonly guaranteeHint = 's3lo doctor shows what it does'
  readonly orderHint = 'directory buckets list in no order: use a general purpose bucket'
  /** Services other than AWS may leave out the etag, which is the proof of a write. */
  readonly marksEveryWrite: boolean
  readonly batches: BatchDeletes
  readonly #service: S3Service
  readonly #calls: ServiceCalls
  readonly #memory: CapabilityMemory
  readonly #onProgress: BackendOptions['onProgress']

  constructor(service: S3Service, options: BackendOptions) {
    const { isAws } = service.endpoint
    this.bucket = service.bucket
    this.requests = new RegionalRequests(service)
    this.guarantees = isAws || isTrusted(options) ? ALL : NONE
    this.marksEveryWrite = !isAws
    this.batches = {
      most: BATCH_KEYS,
      takes: canBeInXml,
      delete: (...deletion) => deleteBatch(service, ...deletion),
    }
    this.#service = service
    this.#calls = new ServiceCalls(this)
    this.#memory = new CapabilityMemory(options.env)
    this.#onProgress = options.onProgress
  }

  /** Some services and every proxy resolve `.` and `..`, so such a key would lead elsewhere. */
  assertKey(key: string): void {
    const segments = key.split('/')
    const isPath = segments.includes('.') || segments.includes('..')
    if (key !== '' && key.isWellFormed() && !isPath && Buffer.byteLength(key) <= 1024) return
    throw new S3loError('INVALID_REFERENCE', `"${key}" cannot be the name of an object`)
  }

  missing({ status, reason }: Failure): 'object' | 'object or bucket' | undefined {
    if (status !== 404 || reason === 'NoSuchBucket' || reason === 'NoSuchUpload') return undefined
    // A HEAD has no body that could name the reason.
    return reason === 'NoSuchKey' ? 'object' : 'object or bucket'
  }

  findBucket(attempt: Attempt): Promise<void> {
    return this.#service.findBucket(attempt)
  }

  find(key: string, attempt: Attempt): Promise<FoundObject> {
    return findObject(this.#service, key, attempt)
  }

  openPiece(key: string, piece: PieceRequest, attempt: Attempt): Promise<ObjectPiece> {
    return openPiece(this.#service, key, piece, attempt)
  }

  listPage(query: ListQuery, attempt: Attempt): Promise<ListPage> {
    return listPage(this.#service, query, attempt)
  }

  putWhole(write: ObjectWrite, bytes: Uint8Array, attempt: Attempt): Promise<WriteAnswer> {
    return putObject(this.#service, write, bytes, attempt)
  }

  beginParts(write: ObjectWrite, attempt: Attempt): Promise<PartsUpload> {
    return MultipartUpload.begin(this.#service, write, attempt)
  }

  deleteOne(
    key: string,
    options: { readonly notAfter?: Date | undefined },
    attempt: Attempt,
  ): Promise<boolean> {
    return deleteObject(this.#service, key, options, attempt)
  }

  /** Copies between buckets of one service that one access key opens. */
  async copyFrom(
    source: NetworkService,
    sourceKey: string,
    key: string,
    { sourceEtag, signal }: CopySettings,
  ): Promise<ObjectInfo | undefined> {
    if (!(source instanceof S3Bucket)) return undefined
    const [from, to] = [source.#service, this.#service]
    if (from !== to && !(await to.isSameAccount(from, { signal }))) return undefined
    return copyObject(source.#place(sourceKey), this.#place(key), { sourceEtag, signal })
  }

  touch(key: string, { signal }: CallSettings): Promise<ObjectInfo> {
    return touchObject(this.#place(key), { signal })
  }

  presignGet(key: string, seconds: number, settings: CallSettings): Promise<string> {
    return this.#service.presign(key, Math.floor(seconds), settings)
  }

  async *abandonedUploads(settings: CallSettings): AsyncGenerator<AbandonedUpload, void> {
    yield* listUploads(this.#service, settings)
  }

  async abortUpload(upload: AbandonedUpload, settings: CallSettings): Promise<void> {
    await abortUpload(this.#service, upload, settings)
  }

  async *diagnose({ signal }: CallSettings): AsyncGenerator<Finding, void> {
    yield* diagnose(this.#service, { signal })
  }

  /**
   * On AWS, and at an endpoint that is trusted, nothing is asked. Elsewhere about a hundred small
   * requests, once in seven days for all clients of the bucket.
   */
  async proveGuarantees(store: UnguardedStore, options: CallOptions): Promise<BackendGuarantees> {
    if (this.guarantees === ALL) return ALL
    const guarantees = await this.#prove(store, options)
    this.#service.isProven = true
    return guarantees
  }

  async #prove(store: UnguardedStore, { signal }: CallOptions): Promise<BackendGuarantees> {
    const { name } = this.#service.endpoint
    const place = `${name}/${this.bucket}`
    const remembered = await this.#memory.recall(place)
    if (remembered) return remembered
    const record = new GuaranteeRecord(this.#service, store.put)
    const recorded = await record.recall({ signal })
    if (!recorded) {
      this.#onProgress?.({
        type: 'notice',
        code: 'probing-service',
        message: `trying out what ${name} guarantees for s3://${this.bucket}, once in 7 days`,
      })
    }
    const guarantees = recorded ?? (await probe(store, signal))
    if (!recorded) await record.write(guarantees, { signal })
    await this.#memory.remember(place, guarantees)
    return guarantees
  }

  close(): void {
    this.#service.close()
  }

  #place(key: string): ObjectPlace {
    return { service: this.#service, calls: this.#calls, key }
  }
}

/** XML 1.0 has no way to write most control characters. */
function canBeInXml(key: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return !/[\u0000-\u001f\ufffe\uffff]/.test(key)
}
