import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type {
  AbandonedUpload,
  BackendGuarantees,
  CopyOptions,
  DeadlineOptions,
  DeleteFailure,
  Finding,
  ObjectInfo,
  PutOptions,
} from '../contract/storage-backend.ts'
import type { Failure } from './failure.ts'
import type { ObjectPiece, PieceRequest } from './open-object.ts'
import type { Attempt, CallSettings, Requests } from './requests.ts'

/** What one service takes in one request, and how much of it may be under way. */
export interface ServiceLimits {
  /** Bytes of a part; what is not longer is written in one request. */
  readonly partBytes: number
  /** Bytes of a part of an object that is written while others hold the memory. Default: `partBytes`. */
  readonly leastPartBytes?: number
  /** Parts of one object. */
  readonly mostParts: number
  /** Bytes of the longest body that one request writes before a deadline. Default: `partBytes`. */
  readonly timedBytes?: number
  /** Parts under way at once in all transfers of one direction; each transfer always has one. */
  readonly partsUp: number
  readonly partsDown: number
  /** How long a presigned URL may be valid. */
  readonly presignSeconds?: number
}

/** How an object is copied. */
export interface CopySettings extends CallSettings, Pick<CopyOptions, 'sourceEtag'> {}

/** An object as the service describes it. */
export interface FoundObject {
  readonly info: ObjectInfo
  /** The {@link ObjectWrite.mark} in the object's metadata. */
  readonly mark?: string | undefined
}

/** A write of one object, as the service gets it. */
export interface ObjectWrite extends Pick<
  PutOptions,
  'condition' | 'digest' | 'mediaType' | 'notAfter' | 'storageClass'
> {
  readonly key: string
  /** Names the object in errors. */
  readonly what: string
  /** Identifies the write: to be stored in the object's metadata where it is given. */
  readonly mark?: string | undefined
  /** For a proof: keeps the second half of the body back until it resolves. */
  readonly hold?: (() => Promise<void>) | undefined
}

/** What the answer to a write says of the object; it may leave out either. */
export interface WriteAnswer {
  /** Without quotes. */
  readonly etag?: string | undefined
  readonly lastModified?: Date | undefined
  readonly storageClass?: string | undefined
}

/** A part of a body; counted from 0. */
export interface NumberedPart {
  readonly bytes: Uint8Array
  readonly index: number
}

/** What an upload in parts ends with. */
export interface PartsEnd {
  /** Parts, and bytes of all of them. */
  readonly count: number
  readonly size: number
  /** The last part of an upload that is `inOrder`; it is not sent before. */
  readonly last?: Uint8Array
}

/** An upload in parts that has begun; nothing of it shows before it is complete. One request each. */
export interface PartsUpload {
  /** The service takes one part after the other, and the last one with the end. */
  readonly inOrder?: boolean
  send(part: NumberedPart, attempt: Attempt): Promise<void>
  /** Makes the object appear; the conditions are judged now. */
  complete(end: PartsEnd, attempt: Attempt): Promise<WriteAnswer>
  /** Removes what was sent, where the service keeps it. */
  abort?(attempt: Attempt): Promise<void>
}

/** What is listed. */
export interface ListQuery {
  readonly prefix: string
  /** List what is just below the prefix, with "folders" for all that is deeper. */
  readonly isShallow: boolean
  /** Only keys after this one; a service that {@link NetworkService.skipsByReading} lists all of them. */
  readonly startAfter?: string | undefined
  /** Of the page before. */
  readonly token?: string | undefined
}

/** A page of a listing, each in the service's order. */
export interface ListPage {
  readonly objects: readonly ObjectInfo[]
  /** As `a/b/`. */
  readonly folders: readonly string[]
  /** What the next page is asked for with; `undefined` or empty on the last page only. */
  readonly next: string | undefined
  /** The page has entries that are in neither list. */
  readonly hasOthers?: boolean
}

/** What a batch of deletions came to. A key in neither is deleted by a request of its own. */
export interface BatchAnswer {
  readonly deleted: ReadonlySet<string>
  readonly failures: ReadonlyMap<string, Failure>
}

/** Deletions of several keys in one request. */
export interface BatchDeletes {
  /** Keys of one request. */
  readonly most: number
  /** Whether a batch can name the key. */
  takes(key: string): boolean
  delete(
    keys: readonly string[],
    options: Pick<DeadlineOptions, 'notAfter'>,
    attempt: Attempt,
  ): Promise<BatchAnswer>
}

/** A write and a delete that look at no guarantee: what a proof tries the service out with. */
export interface UnguardedStore {
  readonly put: (
    key: string,
    body: Uint8Array,
    options?: UnguardedPutOptions,
  ) => Promise<ObjectInfo>
  readonly delete: (
    keys: readonly string[],
    options?: DeadlineOptions,
  ) => Promise<readonly DeleteFailure[]>
}

export interface UnguardedPutOptions extends PutOptions {
  /** Sends even the smallest body in parts. */
  readonly inParts?: boolean | undefined
  /** Called when half of a body is on its way: the rest follows once it resolves. */
  readonly hold?: ObjectWrite['hold']
}

/**
 * One bucket of a service behind a network: what its requests are, and what its answers mean.
 * `networkBackend` makes a `StorageBackend` of it.
 *
 * A method with an `attempt` sends one request under `attempt.signal` and throws what went wrong, as
 * it is: `requests` translates it and repeats what can be repeated. An answer that only its status
 * says to be one is a `ForeignAnswerError`.
 */
export interface NetworkService {
  /** The URL scheme, without `://`. */
  readonly scheme: string
  readonly bucket: string
  readonly requests: Requests
  readonly limits: ServiceLimits
  /** What the service guarantees as far as it is known without trying it out. */
  readonly guarantees: BackendGuarantees
  /** Advice for a condition or deadline that is not guaranteed. */
  readonly guaranteeHint?: string
  /** By what names are listed. Default: UTF-8 bytes, which is key order. */
  readonly listOrder?: 'utf8' | 'utf16'
  /** True where a listing cannot start after a key: the keys before it are read and left out. */
  readonly skipsByReading?: boolean | undefined
  /** Advice where a listing is in no such order. */
  readonly orderHint?: string
  /** The answers to writes are not trusted to be the service's: every write is marked. */
  readonly marksEveryWrite?: boolean
  readonly batches?: BatchDeletes

  /** Throws `INVALID_REFERENCE` for a key that cannot be the name of an object. */
  assertKey(key: string): void
  /** Throws for a write that the service cannot do. */
  assertPut?(options: PutOptions): void
  /** What the failure says is missing: the object in a bucket that is there, or perhaps the bucket itself. */
  missing(failure: Failure): 'object' | 'object or bucket' | undefined
  /**
   * Throws what says that the bucket is missing; resolves where it is there, or where that stays
   * unknown. Needed where a failure says `object or bucket`.
   */
  findBucket?(attempt: Attempt): Promise<void>

  /** The facts of an object; `undefined` where there is one that does not count, such as half a copy. */
  find(key: string, attempt: Attempt): Promise<FoundObject | undefined>
  openPiece(key: string, piece: PieceRequest, attempt: Attempt): Promise<ObjectPiece>
  listPage(query: ListQuery, attempt: Attempt): Promise<ListPage>
  putWhole(write: ObjectWrite, bytes: Uint8Array, attempt: Attempt): Promise<WriteAnswer>
  beginParts(write: ObjectWrite, attempt: Attempt): Promise<PartsUpload>
  /** Whether the answer proves that the object is gone; else it is looked for. */
  deleteOne(
    key: string,
    options: Pick<DeadlineOptions, 'notAfter'>,
    attempt: Attempt,
  ): Promise<boolean>

  // The optional methods of `StorageBackend`, each of several requests, by `requests.trySend`.
  copyFrom?(
    source: NetworkService,
    sourceKey: string,
    key: string,
    settings: CopySettings,
  ): Promise<ObjectInfo | undefined>
  touch?(key: string, settings: CallSettings): Promise<ObjectInfo>
  presignGet?(key: string, expiresInSeconds: number, settings: CallSettings): Promise<string>
  proveGuarantees?(store: UnguardedStore, options: CallOptions): Promise<BackendGuarantees>
  abandonedUploads?(settings: CallSettings): AsyncIterable<AbandonedUpload>
  abortUpload?(upload: AbandonedUpload, settings: CallSettings): Promise<void>
  diagnose?(settings: CallSettings): AsyncIterable<Finding>
  close?(): void
}

/** Bytes on their way to the service. */
export type Body = Uint8Array | Readable
