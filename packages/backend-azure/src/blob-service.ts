import { Readable } from 'node:stream'
import type { ContainerListBlobHierarchySegmentResponse } from '@azure/storage-blob'
import { type Finding, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
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
  placeOf,
  type Requests,
  type ServiceLimits,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import type { AzureAccount } from './account.ts'
import { BlockUpload, putBlob, WRITE_ID } from './block-upload.ts'
import { assertKey, Container } from './container.ts'
import { copyBlob, touchBlob } from './copy.ts'
import { diagnoseContainer } from './diagnose.ts'
import { type BlobFacts, isWhole, quoted, toObjectInfo } from './object-info.ts'

/** The most blobs that the service lists in one answer. */
const PAGE_SIZE = 5000

const LIMITS: ServiceLimits = {
  partBytes: 8 * 1024 * 1024,
  leastPartBytes: 4 * 1024 * 1024,
  mostParts: 50_000,
  timedBytes: 64 * 1024,
  partsUp: 8,
  partsDown: 8,
  // Azure sets no end; a caller that wants a longer one has mistaken the unit.
  presignSeconds: 365 * 24 * 3600,
}

/**
 * A container of Azure Blob Storage. Every blob is a block blob in the account's default tier: the
 * cooler ones charge for early deletion, which a registry does all the time.
 */
export class BlobService implements NetworkService {
  readonly scheme = 'az'
  readonly bucket: string
  readonly requests: Requests
  readonly limits = LIMITS
  readonly guarantees: NetworkService['guarantees']
  readonly guaranteeHint = 'set AZURE_STORAGE_KEY: only an account key signs requests that end'
  readonly listOrder = 'utf16'
  readonly skipsByReading = true
  // Such an account lists folder by folder.
  readonly orderHint = 'use a storage account without a hierarchical namespace'
  /** Only with an account key, which is what signs the URL. */
  readonly presignGet?: (key: string, expiresInSeconds: number) => Promise<string>
  readonly #container: Container

  constructor(bucket: string, account: AzureAccount, requests: Requests) {
    this.bucket = bucket
    this.requests = requests
    this.#container = new Container(bucket, account)
    const { canSign } = this.#container
    this.guarantees = { createOnly: true, compareAndSwap: true, deadlines: canSign }
    if (canSign) {
      this.presignGet = async (key, expiresInSeconds) =>
        this.#container.signedUrl(key, 'r', new Date(Date.now() + expiresInSeconds * 1000))
    }
  }

  assertKey(key: string): void {
    assertKey(key)
  }

  missing({ reason }: Failure): 'object' | undefined {
    return reason === 'BlobNotFound' ? 'object' : undefined
  }

  async find(key: string, { signal }: Attempt): Promise<FoundObject | undefined> {
    const facts = await this.#container.blob(key).getProperties({ abortSignal: signal })
    if (!isWhole(facts)) return undefined
    return { info: toObjectInfo(key, facts), mark: facts.metadata?.[WRITE_ID] }
  }

  async openPiece(key: string, piece: PieceRequest, { signal }: Attempt): Promise<ObjectPiece> {
    const { start, end, etag } = piece
    const what = `az://${this.bucket}/${key}`
    const count = end === undefined ? undefined : end - start
    const response = await this.#container.blob(key).download(start, count, {
      abortSignal: signal,
      // The skeleton repeats, and notices a connection that is only silent.
      maxRetryRequests: 0,
      ...(etag !== undefined && { conditions: { ifMatch: quoted(etag) } }),
    })
    const { readableStreamBody: stream, contentRange, etag: found, lastModified } = response
    if (!(stream instanceof Readable)) {
      throw new S3loError('UNAVAILABLE', `${what}: the answer has no body`)
    }
    try {
      if (!isWhole(response)) throw new S3loError('NOT_FOUND', `${what} does not exist`)
      const place = placeOf(what, piece, contentRange, response.contentLength)
      const { accessTier } = response
      const facts = { contentLength: place.size, etag: found, lastModified, accessTier }
      const info = toObjectInfo(key, facts)
      return { info, end: place.end, stream }
    } catch (error) {
      stream.destroy()
      throw error
    }
  }

  async listPage({ prefix, isShallow, token }: ListQuery, attempt: Attempt): Promise<ListPage> {
    const options = { prefix, abortSignal: attempt.signal, includeCopy: true }
    const { client } = this.#container
    const page = {
      maxPageSize: PAGE_SIZE,
      ...(token !== undefined && { continuationToken: token }),
    }
    const pages = isShallow
      ? client.listBlobsByHierarchy('/', options).byPage(page)
      : client.listBlobsFlat(options).byPage(page)
    const { value } = await pages.next()
    const segment: Partial<ContainerListBlobHierarchySegmentResponse['segment']> =
      value?.segment ?? {}
    const { blobItems = [], blobPrefixes: folders = [] } = segment
    return {
      objects: blobItems
        .filter(({ properties }) => isWhole(properties))
        .map(({ name, properties }) => toObjectInfo(name, properties)),
      folders: folders.map(({ name }) => name),
      next: value?.continuationToken,
      hasOthers: blobItems.length > 0,
    }
  }

  putWhole(write: ObjectWrite, bytes: Uint8Array, attempt: Attempt): Promise<WriteAnswer> {
    return putBlob(this.#container, write, bytes, attempt)
  }

  async beginParts(write: ObjectWrite): Promise<PartsUpload> {
    return new BlockUpload(this.#container, write)
  }

  /** The SDK takes no other status for an answer than the one that says that the blob is gone. */
  async deleteOne(
    key: string,
    { notAfter }: { readonly notAfter?: Date | undefined },
    { signal }: Attempt,
  ): Promise<boolean> {
    const client = notAfter
      ? this.#container.signedBlob(key, 'd', notAfter)
      : this.#container.blob(key)
    await client.delete({ abortSignal: signal })
    return true
  }

  /**
   * Copies inside one storage account. Another account would have to be given access to the source,
   * so it is foreign.
   */
  async copyFrom(
    source: NetworkService,
    sourceKey: string,
    key: string,
    settings: CopySettings,
  ): Promise<ObjectInfo | undefined> {
    if (!(source instanceof BlobService)) return undefined
    const [from, to] = [source.#container, this.#container]
    // A token of limited access opens only what it was made for, so the source needs one as well.
    if (from.accountUrl !== to.accountUrl || (to.access === 'sas') !== (from.access === 'sas')) {
      return undefined
    }
    const sourceUrl = from.blob(sourceKey).url
    const facts: BlobFacts = await copyBlob(this.requests, to.blob(key), sourceUrl, settings)
    return toObjectInfo(key, facts)
  }

  touch(key: string, settings: CallSettings): Promise<ObjectInfo> {
    return touchBlob(this.requests, this.#container.blob(key), key, settings)
  }

  diagnose(settings: CallSettings): AsyncIterable<Finding> {
    return diagnoseContainer(this.#container, this.requests, settings)
  }
}
