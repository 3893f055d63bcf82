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
import type { AnswerHeaders } from './answer-check.ts'
import { dateOf, factsIn, quoted, toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'
import { pathOf } from './signature.ts'
import { MultipartUpload } from './upload.ts'
import { textOf } from './xml.ts'

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
  const { [STORAGE_CLASS]: storageClass } = source.description
  // The one thing that a copy does not take over by itself.
  return (await copy.whole(storageClass ? { [STORAGE_CLASS]: storageClass } : {})).info
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
  const changes = { 'x-amz-metadata-directive': 'REPLACE', ...source.description }
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

/** The headers that say what an object is: they are the same in answers about it and writes of it. */
type Description = Readonly<Record<string, string>>

const STORAGE_CLASS = 'x-amz-storage-class'
const DESCRIPTION: ReadonlySet<string> = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  STORAGE_CLASS,
])

async function headOf(
  { service, key }: ObjectPlace,
  signal: AbortSignal | undefined,
): Promise<Source> {
  const settings = { what: service.nameOf(key), signal }
  const { headers } = await service.call(settings, (attempt) =>
    service.request({ operation: 'HeadObject', key }, attempt),
  )
  const { etag, size, lastModified } = factsIn(headers)
  if (size === undefined || !etag) {
    throw new S3loError('UNAVAILABLE', `the facts of ${settings.what} are incomplete`)
  }
  return { size, etag: bareEtag(etag), lastModified, description: describe(headers) }
}

function describe(headers: AnswerHeaders): Description {
  const entries = Object.entries(headers).filter(
    (header): header is [string, string] =>
      Boolean(header[1]) && (DESCRIPTION.has(header[0]) || header[0].startsWith('x-amz-meta-')),
  )
  return Object.fromEntries(entries)
}

/** What a copy is made of, if it is still the version that was seen: headers of the copy. */
type SourceVersion = Readonly<Record<`x-amz-copy-source${string}`, string>>

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
    changes: Description,
  ): Promise<{ readonly info: ObjectInfo; readonly isFresh: boolean }> {
    const { service, key } = this.#to
    const { headers, document } = await this.#ofSource((version) => {
      const request = {
        operation: 'CopyObject',
        key,
        headers: { ...changes, ...version },
        silenceMs: this.#source.size / SLOWEST_BYTES_PER_MS,
      } as const
      return service.tryCall(this.#settings(), (attempt) => service.request(request, attempt))
    })
    const named = (name: string): string | undefined => document && textOf(document, name)
    const answeredAt = dateOf(headers['date'])
    const lastModified = dateOf(named('LastModified')) ?? answeredAt
    const etag = named('ETag') ?? this.#source.etag
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
    // The service may take the parts one after the other.
    const silenceMs = (PARTS_AT_ONCE * PART_BYTES) / SLOWEST_BYTES_PER_MS
    await forEachConcurrent(
      Array.from({ length: count }, (_, index) => index),
      PARTS_AT_ONCE,
      async (index, signal) => {
        const start = index * PART_BYTES
        const last = Math.min(start + PART_BYTES, this.#source.size) - 1
        const range = { 'x-amz-copy-source-range': `bytes=${start}-${last}` }
        await this.#ofSource((version) =>
          this.#to.service.tryCall({ ...this.#settings(), signal }, (attempt) =>
            upload.copyPart({ index, source: { ...version, ...range }, silenceMs }, attempt),
          ),
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
    const source = {
      'x-amz-copy-source': `${this.#from.service.bucket}/${pathOf(this.#from.key)}`,
    } as const
    const { etag, lastModified } = this.#source
    try {
      return await send({ ...source, 'x-amz-copy-source-if-match': quoted(etag) })
    } catch (error) {
      const isRefused = error instanceof RequestError && error.failure.status === 412
      if (!isRefused || !lastModified) throw toThrown(error)
      if ((await headOf(this.#from, this.#signal)).etag !== etag) throw toThrown(error)
    }
    try {
      const date = lastModified.toUTCString()
      return await send({ ...source, 'x-amz-copy-source-if-unmodified-since': date })
    } catch (error) {
      throw toThrown(error)
    }
  }

  #settings(): CallSettings {
    return { what: this.#to.service.nameOf(this.#to.key), signal: this.#signal }
  }
}
