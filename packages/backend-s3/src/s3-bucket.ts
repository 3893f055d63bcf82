import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
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
  RequestError,
  type Requests,
  ServiceCalls,
  type ServiceLimits,
  type UnguardedStore,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { CapabilityMemory } from './capability-memory.ts'
import { copyObject, type ObjectPlace, touchObject } from './copy.ts'
import { batchDeletes } from './delete.ts'
import { diagnose } from './diagnose.ts'
import { openPiece } from './download.ts'
import { GuaranteeRecord } from './guarantee-record.ts'
import { listedDate, listPage } from './list.ts'
import { listUploads } from './list-uploads.ts'
import { toObjectInfo } from './object-info.ts'
import { RegionalRequests } from './regional-requests.ts'
import { LONGEST_SIGNATURE_S, type S3Service } from './s3-service.ts'
import { MultipartUpload, putObject, WRITE_ID } from './upload.ts'

/** How a service answers that it has deleted an object. Any other answer may be a proxy's. */
const NO_CONTENT = 204
const ALL: BackendGuarantees = { createOnly: true, compareAndSwap: true, deadlines: true }
const NONE: BackendGuarantees = { createOnly: false, compareAndSwap: false, deadlines: false }

const LIMITS: ServiceLimits = {
  partBytes: 8 * 1024 * 1024,
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
    this.batches = batchDeletes(service)
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

  async findBucket({ signal }: Attempt): Promise<void> {
    await this.#service.findBucket(this.#service.client, signal)
  }

  async find(key: string, attempt: Attempt): Promise<FoundObject> {
    const command = new HeadObjectCommand({ Bucket: this.bucket, Key: key })
    const output = await this.#service.client.send(command, { abortSignal: attempt.signal })
    const { ContentLength: size, ETag: etag, StorageClass: storageClass, Metadata } = output
    let { LastModified: lastModified } = output
    if (etag) lastModified ??= await listedDate(this.#service, key, attempt)
    const info = toObjectInfo(key, { size, etag, lastModified, storageClass })
    return { info, mark: Metadata?.[WRITE_ID] }
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

  async deleteOne(
    key: string,
    { notAfter }: { readonly notAfter?: Date | undefined },
    { signal }: Attempt,
  ): Promise<boolean> {
    const command = new DeleteObjectCommand({ Bucket: this.bucket, Key: key })
    const { $metadata: answer } = await this.#service.client.send(
      this.#service.until(command, notAfter),
      { abortSignal: signal },
    )
    return answer.httpStatusCode === NO_CONTENT
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

  presignGet(key: string, expiresInSeconds: number, settings: CallSettings): Promise<string> {
    const command = new GetObjectCommand({ Bucket: this.bucket, Key: key })
    const expiresIn = Math.floor(expiresInSeconds)
    return this.#service.sign(settings, (client) => getSignedUrl(client, command, { expiresIn }))
  }

  abandonedUploads(settings: CallSettings): AsyncIterable<AbandonedUpload> {
    return listUploads(this.#service, settings)
  }

  async abortUpload({ key, id }: AbandonedUpload, settings: CallSettings): Promise<void> {
    const input = { Bucket: this.bucket, Key: key, UploadId: id }
    try {
      await this.#service.trySend(settings, (client, attempt) =>
        client.send(new AbortMultipartUploadCommand(input), { abortSignal: attempt.signal }),
      )
    } catch (error) {
      // Another client has ended it meanwhile.
      if (error instanceof RequestError && error.failure.reason === 'NoSuchUpload') return
      throw error
    }
  }

  diagnose({ signal }: CallSettings): AsyncIterable<Finding> {
    return diagnose(this.#service, { signal })
  }

  /**
   * On AWS, and at an endpoint that is trusted, nothing is asked. Elsewhere about a hundred small
   * requests, once in seven days for all clients of the bucket.
   */
  async proveGuarantees(
    store: UnguardedStore,
    { signal }: CallOptions,
  ): Promise<BackendGuarantees> {
    if (this.guarantees === ALL) return ALL
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
