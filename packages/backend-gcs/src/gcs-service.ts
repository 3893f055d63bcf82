import type {
  BackendGuarantees,
  CallOptions,
  Finding,
  ObjectInfo,
  PutOptions,
} from '@s3lo/core/plugin'
import {
  type Attempt,
  type CallSettings,
  type CopySettings,
  type Failure,
  type FoundObject,
  type ListPage,
  type ListQuery,
  type NetworkService,
  type ObjectPiece,
  type ObjectWrite,
  type PartsUpload,
  type PieceRequest,
  probe,
  type Requests,
  type ServiceLimits,
  type UnguardedStore,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { rewriteObject } from './copy.ts'
import { diagnoseBucket } from './diagnose.ts'
import { openPiece } from './download.ts'
import { assertKey, type GcsClient, objectPath } from './gcs-client.ts'
import { listPage } from './list.ts'
import { metadataOf, OBJECT_FIELDS, toObjectInfo } from './object-info.ts'
import { ResumableSession } from './resumable-session.ts'
import { LONGEST_SECONDS } from './signed-request.ts'
import { assertMediaType, putObject, tooLargeForDeadline, WRITE_ID } from './upload.ts'

const MEBIBYTE = 1024 * 1024
const NO_CONTENT = 204
/** The key of an object's own metadata that a touch changes. */
const TOUCHED = 's3lo_touched'

const LIMITS: ServiceLimits = {
  partBytes: 8 * MEBIBYTE,
  leastPartBytes: 4 * MEBIBYTE,
  mostParts: Number.MAX_SAFE_INTEGER,
  partsUp: 4,
  partsDown: 4,
  // A signature lasts 7 days, and begins 10 minutes ago.
  presignSeconds: LONGEST_SECONDS - 600,
}

/**
 * A bucket of Google Cloud Storage. The etag of an object is its generation. Every object is
 * written to the bucket's own storage class: the colder ones charge for early deletion, which a
 * registry does all the time.
 */
export class GcsService implements NetworkService {
  readonly scheme = 'gs'
  readonly bucket: string
  readonly requests: Requests
  readonly limits = LIMITS
  readonly guarantees: BackendGuarantees
  readonly guaranteeHint =
    'conditions are tried out before the first conditional write; deadlines need the key of a service account, or S3LO_GCS_SIGNER'
  /** Only with credentials that can sign. */
  readonly presignGet?: NonNullable<NetworkService['presignGet']>
  readonly #client: GcsClient

  readonly #isKnown: boolean

  /** `isKnown`: the service keeps its guarantees, so that nothing is tried out. */
  constructor(client: GcsClient, isKnown: boolean) {
    const { access, bucket, requests } = client
    this.bucket = bucket
    this.requests = requests
    this.#client = client
    this.#isKnown = isKnown
    const canSign = access.signer !== undefined
    this.guarantees = {
      createOnly: isKnown,
      compareAndSwap: isKnown,
      deadlines: isKnown && canSign,
    }
    if (canSign) this.presignGet = this.#presignGet.bind(this)
  }

  assertKey(key: string): void {
    assertKey(key)
  }

  assertPut({ mediaType }: PutOptions): void {
    assertMediaType(mediaType)
  }

  missing({ status }: Failure): 'object or bucket' | undefined {
    return status === 404 ? 'object or bucket' : undefined
  }

  async findBucket(attempt: Attempt): Promise<void> {
    // Credentials that may see that an object is missing may list.
    await listPage(this.#client, { prefix: '', isShallow: false }, attempt, 1)
  }

  async find(key: string, attempt: Attempt): Promise<FoundObject> {
    const query = { fields: OBJECT_FIELDS }
    const request = { method: 'GET', path: objectPath(key), query } as const
    const resource = await this.#client.json(request, attempt)
    return { info: toObjectInfo(resource), mark: metadataOf(resource, WRITE_ID) }
  }

  openPiece(key: string, piece: PieceRequest, attempt: Attempt): Promise<ObjectPiece> {
    return openPiece(this.#client, key, piece, attempt)
  }

  listPage(query: ListQuery, attempt: Attempt): Promise<ListPage> {
    return listPage(this.#client, query, attempt)
  }

  putWhole(write: ObjectWrite, bytes: Uint8Array, attempt: Attempt): Promise<WriteAnswer> {
    return putObject(this.#client, write, bytes, attempt)
  }

  async beginParts(write: ObjectWrite, attempt: Attempt): Promise<PartsUpload> {
    if (write.notAfter !== undefined) throw tooLargeForDeadline(write.what)
    return ResumableSession.open(this.#client, write, attempt)
  }

  async deleteOne(
    key: string,
    { notAfter }: { readonly notAfter?: Date | undefined },
    attempt: Attempt,
  ): Promise<boolean> {
    const answer = await (notAfter
      ? this.#client.timed({ method: 'DELETE', key, notAfter }, attempt)
      : this.#client.open({ method: 'DELETE', path: objectPath(key) }, attempt))
    answer.resume()
    return answer.statusCode === NO_CONTENT
  }

  /** Copies from every bucket that is opened with the same credentials at the same endpoint. */
  async copyFrom(
    source: NetworkService,
    sourceKey: string,
    key: string,
    settings: CopySettings,
  ): Promise<ObjectInfo | undefined> {
    if (!(source instanceof GcsService) || !this.#sharesAccess(source)) return undefined
    return rewriteObject(source.#client, sourceKey, { bucket: this.bucket, key }, settings)
  }

  /**
   * Changes the object's own metadata, which makes its `updated` now and leaves bytes, generation
   * and storage class. A rewrite onto itself would do so too, but would end the generation that
   * others read just now, keep the old one for as long as soft delete says, and charge for it.
   */
  async touch(key: string, settings: CallSettings): Promise<ObjectInfo> {
    const changes = { metadata: { [TOUCHED]: new Date().toISOString() } }
    const request = {
      method: 'PATCH',
      path: objectPath(key),
      query: { fields: OBJECT_FIELDS },
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: [Buffer.from(JSON.stringify(changes))],
    } as const
    return this.requests.trySend(settings, async (attempt) =>
      toObjectInfo(await this.#client.json(request, attempt)),
    )
  }

  /** Google's own service needs no proof, nor does one that the user vouches for. */
  async proveGuarantees(
    store: UnguardedStore,
    { signal }: CallOptions,
  ): Promise<BackendGuarantees> {
    return this.#isKnown ? this.guarantees : probe(store, signal)
  }

  /** What the bucket's settings mean for images: versioning, soft delete, retention, lifecycle. */
  diagnose(settings: CallSettings): AsyncIterable<Finding> {
    return diagnoseBucket(this.#client, settings)
  }

  close(): void {
    this.#client.close()
  }

  async #presignGet(
    key: string,
    expiresInSeconds: number,
    { signal }: CallSettings,
  ): Promise<string> {
    const expiresAt = new Date(Date.now() + expiresInSeconds * 1000)
    const path = await this.#client.signedPath(key, 'GET', expiresAt, { signal })
    return this.#client.endpoint.origin + path
  }

  #sharesAccess(source: GcsService): boolean {
    const [from, to] = [source.#client, this.#client]
    return (
      from.endpoint.origin === to.endpoint.origin && from.access.identity === to.access.identity
    )
  }
}
