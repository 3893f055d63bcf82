import { randomUUID } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { forEachConcurrent, isS3loError, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { bareEtag, type CallSettings, RequestError, toThrown } from '@s3lo/core/transfer'
import { findWrite, look, WRITE_ID } from './look.ts'
import { quoted, toObjectInfo } from './object-info.ts'
import { dateOf } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** The most that one request copies. */
const LARGEST_COPY_BYTES = 5 * 1024 ** 3
const PART_BYTES = 512 * 1024 * 1024
const PARTS_AT_ONCE = 8
/** A service that copies slower than this stands still; until it is done it says nothing. */
const SLOWEST_BYTES_PER_MS = 8 * 1024
const CLEANUP_MS = 5000
/** The service's clocks agree better than this. */
const CLOCK_TOLERANCE_MS = 5000

/** An object, and the service that has it. */
export interface ObjectPlace {
  readonly service: S3Service
  readonly key: string
}

/** Lets the service copy an object of any size, its metadata included. Throws `NOT_FOUND`. */
export async function copyObject(
  from: ObjectPlace,
  to: ObjectPlace,
  { signal }: Pick<CallSettings, 'signal'>,
): Promise<ObjectInfo> {
  // The service refuses a copy onto itself that changes nothing.
  if (from.service.bucket === to.service.bucket && from.key === to.key) {
    return touchObject(to, { signal })
  }
  const source = await headOf(from, signal)
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
  const source = await headOf(place, signal)
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
  { service, key }: ObjectPlace,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo | undefined> {
  const found = await look(service, key, { signal })
  if (!found?.LastModified || !source.lastModified) return undefined
  if (found.LastModified <= source.lastModified) return undefined
  const { ContentLength: size, ETag: etag, LastModified: lastModified } = found
  return toObjectInfo(key, { size, etag, lastModified })
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
  readonly #id = randomUUID()

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
    const { service } = this.#to
    const { description } = this.#source
    const Metadata = { ...description.Metadata, [WRITE_ID]: this.#id }
    const input = { ...this.#target(), ...description, Metadata }
    const { UploadId } = await service.send(this.#settings(), (client, attempt) =>
      client.send(new CreateMultipartUploadCommand(input), { abortSignal: attempt.signal }),
    )
    if (!UploadId) throw new S3loError('UNAVAILABLE', 'the answer names no upload')
    try {
      const Parts = await this.#copyParts(UploadId)
      return await this.#complete({ ...this.#target(), UploadId, MultipartUpload: { Parts } })
    } catch (error) {
      await this.#abandon(UploadId)
      throw error
    }
  }

  /** After an attempt whose answer was lost, the service no longer knows the upload. */
  async #complete(completion: CompleteMultipartUploadCommandInput): Promise<ObjectInfo> {
    const { service, key } = this.#to
    let mayHaveLanded = false
    const onRetry = (): void => {
      mayHaveLanded = true
    }
    try {
      const output = await service.trySend({ ...this.#settings(), onRetry }, (client, attempt) => {
        attempt.expectSilence(this.#source.size / SLOWEST_BYTES_PER_MS)
        const command = new CompleteMultipartUploadCommand(completion)
        return client.send(command, { abortSignal: attempt.signal })
      })
      const lastModified = dateOf(output)
      if (output.ETag && lastModified) {
        return toObjectInfo(key, { size: this.#source.size, etag: output.ETag, lastModified })
      }
    } catch (error) {
      const found =
        mayHaveLanded && error instanceof RequestError ? await this.#findOwn() : undefined
      if (found) return found
      throw toThrown(error)
    }
    const found = await this.#findOwn()
    if (found) return found
    const { what } = this.#settings()
    throw new S3loError('UNAVAILABLE', `${what} is not there after it was copied`)
  }

  /** The object when it is the one of this copy. */
  async #findOwn(): Promise<ObjectInfo | undefined> {
    const { service, key } = this.#to
    const facts = await findWrite(service, key, { id: this.#id, signal: this.#signal })
    return facts && toObjectInfo(key, facts)
  }

  async #copyParts(UploadId: string): Promise<{ PartNumber: number; ETag: string }[]> {
    const { size } = this.#source
    const parts: { PartNumber: number; ETag: string }[] = []
    await forEachConcurrent(
      Array.from({ length: Math.ceil(size / PART_BYTES) }, (_, index) => index),
      PARTS_AT_ONCE,
      async (index, signal) => {
        const start = index * PART_BYTES
        const last = Math.min(start + PART_BYTES, size) - 1
        const part = {
          ...this.#target(),
          UploadId,
          PartNumber: index + 1,
          CopySourceRange: `bytes=${start}-${last}`,
        }
        const { CopyPartResult } = await this.#ofSource((version) =>
          this.#to.service.trySend({ ...this.#settings(), signal }, (client, attempt) => {
            // The service may take the parts one after the other.
            attempt.expectSilence((PARTS_AT_ONCE * PART_BYTES) / SLOWEST_BYTES_PER_MS)
            const command = new UploadPartCopyCommand({ ...part, ...version })
            return client.send(command, { abortSignal: attempt.signal })
          }),
        )
        parts[index] = { PartNumber: index + 1, ETag: CopyPartResult?.ETag ?? '' }
      },
      this.#signal,
    )
    return parts
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

  async #abandon(UploadId: string): Promise<void> {
    const settings = { ...this.#settings(), signal: AbortSignal.timeout(CLEANUP_MS) }
    try {
      await this.#to.service.send(settings, (client, attempt) =>
        client.send(new AbortMultipartUploadCommand({ ...this.#target(), UploadId }), {
          abortSignal: attempt.signal,
        }),
      )
    } catch {
      // What failed before says more; `doctor` finds what is left behind.
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
