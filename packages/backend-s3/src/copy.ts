import {
  CopyObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3'
import { forEachConcurrent, isS3loError, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import {
  assembleObject,
  bareEtag,
  type CallSettings,
  type CopySettings,
  RequestError,
  type ServiceCalls,
  toThrown,
} from '@s3lo/core/transfer'
import { quoted, toObjectInfo } from './object-info.ts'
import { dateOf } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'
import { MultipartUpload } from './upload.ts'

/** The most that one request copies. */
const LARGEST_COPY_BYTES = 5 * 1024 ** 3
const PART_BYTES = 512 * 1024 * 1024
const PARTS_AT_ONCE = 8
/** A service that copies slower than this stands still; until it is done it says nothing. */
const SLOWEST_BYTES_PER_MS = 8 * 1024
/** The service's clocks agree better than this. */
const CLOCK_TOLERANCE_MS = 5000

/** An object, and the service that has it. */
export interface ObjectPlace {
  readonly service: S3Service
  readonly calls: ServiceCalls
  readonly key: string
}

/**
 * Lets the service copy an object of any size, its metadata included. Throws `NOT_FOUND`, and
 * `CONFLICT` for a source of another etag than the one that is asked for.
 */
export async function copyObject(
  from: ObjectPlace,
  to: ObjectPlace,
  { sourceEtag, signal }: Pick<CopySettings, 'signal' | 'sourceEtag'>,
): Promise<ObjectInfo> {
  const source = await headOf(from, signal)
  // The copy itself is of the version that was looked at.
  if (sourceEtag !== undefined && sourceEtag !== source.etag) {
    throw new S3loError('CONFLICT', `${from.service.nameOf(from.key)} has changed`)
  }
  // The service refuses a copy onto itself that changes nothing.
  if (from.service.bucket === to.service.bucket && from.key === to.key) {
    return renew(to, source, signal)
  }
  const copy = new Copy(from, to, source, signal)
  if (source.size > LARGEST_COPY_BYTES) return copy.inParts()
  const { StorageClass } = source.description
  // The one thing that a copy does not take over by itself.
  return (await copy.whole({ ...(StorageClass && { StorageClass }) })).info
}

/**
 * Makes an object's date now by copying it onto itself: the one write that moves no bytes. Keeps
 * what describes it, and its storage class. Throws `UNSUPPORTED` where the service keeps the date.
 */
export async function touchObject(
  place: ObjectPlace,
  { signal }: Pick<CallSettings, 'signal'>,
): Promise<ObjectInfo> {
  return renew(place, await headOf(place, signal), signal)
}

async function renew(
  place: ObjectPlace,
  source: Source,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo> {
  const copy = new Copy(place, place, source, signal)
  if (source.size > LARGEST_COPY_BYTES) return copy.inParts()
  // A copy onto itself has to change something, so its description is given anew.
  const changes = { MetadataDirective: 'REPLACE', ...source.description } as const
  const { info, isFresh } = await copy.whole(changes).catch(async (error: unknown) => {
    const newer = isS3loError(error, 'CONFLICT')
      ? await newerThan(source, place, signal)
      : undefined
    if (newer) return { info: newer, isFresh: true }
    throw error
  })
  if (isFresh) return info
  throw new S3loError(
    'UNSUPPORTED',
    `${place.service.nameOf(place.key)}: the service does not renew objects`,
  )
}

/**
 * The object where it was written after it was looked at: by a touch whose answer was lost, which
 * can change the etag, or by another client. Its date is what a touch is for.
 */
async function newerThan(
  source: Source,
  { calls, key }: ObjectPlace,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo | undefined> {
  const found = await calls.head(key, signal)
  const isNewer = found && source.lastModified && found.lastModified > source.lastModified
  return isNewer ? found : undefined
}

/** An object as it was when the copy began. */
interface Source {
  readonly size: number
  readonly etag: string
  readonly lastModified: Date | undefined
  readonly description: Description
}

type Description = Pick<
  HeadObjectCommandOutput,
  | 'Metadata'
  | 'ContentType'
  | 'ContentEncoding'
  | 'ContentDisposition'
  | 'ContentLanguage'
  | 'CacheControl'
  | 'StorageClass'
>

async function headOf(
  { service, key }: ObjectPlace,
  signal: AbortSignal | undefined,
): Promise<Source> {
  const settings = { what: service.nameOf(key), signal }
  const input = { Bucket: service.bucket, Key: key }
  const output = await service.send(settings, (client, attempt) =>
    client.send(new HeadObjectCommand(input), { abortSignal: attempt.signal }),
  )
  const { ETag: etag, ContentLength: size, LastModified: lastModified } = output
  if (size === undefined || !etag) {
    throw new S3loError('UNAVAILABLE', `the facts of ${settings.what} are incomplete`)
  }
  return { size, etag: bareEtag(etag), lastModified, description: describe(output) }
}

function describe(output: HeadObjectCommandOutput): Description {
  const { Metadata, ContentType, ContentEncoding, ContentDisposition } = output
  const { ContentLanguage, CacheControl, StorageClass } = output
  return {
    ...(Metadata && { Metadata }),
    ...(ContentType && { ContentType }),
    ...(ContentEncoding && { ContentEncoding }),
    ...(ContentDisposition && { ContentDisposition }),
    ...(ContentLanguage && { ContentLanguage }),
    ...(CacheControl && { CacheControl }),
    ...(StorageClass && { StorageClass }),
  }
}

/** What a copy is made of, if it is still the version that was seen. */
interface SourceVersion {
  readonly CopySource: string
  readonly CopySourceIfMatch?: string
  readonly CopySourceIfUnmodifiedSince?: Date
}

/** One copy of one version of an object. */
class Copy {
  readonly #from: ObjectPlace
  readonly #to: ObjectPlace
  readonly #source: Source
  readonly #signal: AbortSignal | undefined

  constructor(from: ObjectPlace, to: ObjectPlace, source: Source, signal: AbortSignal | undefined) {
    this.#from = from
    this.#to = to
    this.#source = source
    this.#signal = signal
  }

  async whole(
    changes: Description & { readonly MetadataDirective?: 'REPLACE' },
  ): Promise<{ readonly info: ObjectInfo; readonly isFresh: boolean }> {
    const { service, key } = this.#to
    const output = await this.#ofSource(async (version) => {
      const input = { ...this.#target(), ...version, ...changes }
      return service.trySend(this.#settings(), (client, attempt) => {
        attempt.expectSilence(this.#source.size / SLOWEST_BYTES_PER_MS)
        return client.send(new CopyObjectCommand(input), { abortSignal: attempt.signal })
      })
    })
    const answeredAt = dateOf(output)
    const lastModified = output.CopyObjectResult?.LastModified ?? answeredAt
    const etag = output.CopyObjectResult?.ETag ?? this.#source.etag
    const info = toObjectInfo(key, { size: this.#source.size, etag, lastModified })
    const age = (answeredAt?.getTime() ?? 0) - info.lastModified.getTime()
    return { info, isFresh: age < CLOCK_TOLERANCE_MS }
  }

  async inParts(): Promise<ObjectInfo> {
    const { calls, service, key } = this.#to
    const { description, size } = this.#source
    const joiningMs = size / SLOWEST_BYTES_PER_MS
    const count = Math.ceil(size / PART_BYTES)
    return assembleObject(
      calls,
      { key, signal: this.#signal },
      (write, attempt) =>
        MultipartUpload.begin(service, write, attempt, { description, joiningMs }),
      async (upload) => {
        await this.#copyParts(upload, count)
        return { end: { count, size } }
      },
    )
  }

  async #copyParts(upload: MultipartUpload, count: number): Promise<void> {
    await forEachConcurrent(
      Array.from({ length: count }, (_, index) => index),
      PARTS_AT_ONCE,
      async (index, signal) => {
        const start = index * PART_BYTES
        const last = Math.min(start + PART_BYTES, this.#source.size) - 1
        const range = `bytes=${start}-${last}`
        await this.#ofSource((version) =>
          this.#to.service.tryCall({ ...this.#settings(), signal }, (attempt) => {
            // The service may take the parts one after the other.
            attempt.expectSilence((PARTS_AT_ONCE * PART_BYTES) / SLOWEST_BYTES_PER_MS)
            return upload.copyPart(index, { ...version, CopySourceRange: range }, attempt)
          }),
        )
      },
      this.#signal,
    )
  }

  /**
   * Sends a copy of the version that was seen. Swift compares the etag of an object that was uploaded
   * in parts with another one than it shows: there the date has to do.
   */
  async #ofSource<T>(send: (version: SourceVersion) => Promise<T>): Promise<T> {
    const CopySource = `${this.#from.service.bucket}/${encodeKey(this.#from.key)}`
    const { etag, lastModified } = this.#source
    try {
      return await send({ CopySource, CopySourceIfMatch: quoted(etag) })
    } catch (error) {
      const isRefused = error instanceof RequestError && error.failure.status === 412
      if (!isRefused || !lastModified) throw toThrown(error)
      if ((await headOf(this.#from, this.#signal)).etag !== etag) throw toThrown(error)
    }
    try {
      return await send({ CopySource, CopySourceIfUnmodifiedSince: lastModified })
    } catch (error) {
      throw toThrown(error)
    }
  }

  #target(): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#to.service.bucket, Key: this.#to.key }
  }

  #settings(): CallSettings {
    return { what: this.#to.service.nameOf(this.#to.key), signal: this.#signal }
  }
}

/** The header is not encoded by the SDK, and slashes stay. */
function encodeKey(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/')
}
