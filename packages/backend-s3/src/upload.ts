import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type ObjectInfo, type PutOptions, S3loError } from '@s3lo/core/plugin'
import {
  bareEtag,
  type BufferPool,
  type ByteBudget,
  type Part,
  readParts,
  RequestError,
  sendParts,
  toThrown,
  withDeadline,
} from '@s3lo/core/transfer'
import { findWrite, look, WRITE_ID } from './look.ts'
import { type ObjectFacts, quoted, toObjectInfo } from './object-info.ts'
import { dateOf, holdBody } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** Objects of up to this size are sent in one request, larger ones in parts of this size. */
export const PART_BYTES = 8 * 1024 * 1024
/** The service takes no more parts than this in one object. */
const MOST_PARTS = 10_000
/** A deadline is judged when a request begins, so what is sent with one must not take long. */
const TIMED_BYTES = 64 * 1024
/** A line slower than this is one that stands still. */
const SLOWEST_BYTES_PER_MS = 32
/** What a service may take for each part when it makes an object of them. */
const JOINING_MS = 100
/** What remains of an upload is removed in this time, or left to the bucket's own rules. */
const CLEANUP_MS = 5000

/** What all uploads of a backend share. */
export interface UploadContext {
  readonly service: S3Service
  readonly budget: ByteBudget
  readonly pool: BufferPool
  readonly partBytes: number
  /** For a probe: sends even the smallest body in parts. */
  readonly isForcedInParts?: boolean
  /** For a probe: keeps the second half of a body back until it resolves. */
  readonly hold?: (() => Promise<void>) | undefined
}

/** What the SDK wants of every kind of write. */
interface WriteInput {
  readonly Bucket: string
  readonly Key: string
}

/** What the service says of a part, which the completion has to repeat. */
interface SentPart {
  readonly etag: string
  readonly crc32: string | undefined
}

/** Writes an object whole or not at all. Does not destroy the body. */
export async function upload(
  context: UploadContext,
  key: string,
  body: Uint8Array | Readable,
  options: PutOptions,
): Promise<ObjectInfo> {
  const write = new Write(context, key, options)
  const isGiven = body instanceof Uint8Array
  const parts = readParts(body, {
    what: write.what,
    size: options.size,
    partBytes: context.partBytes,
    mostParts: MOST_PARTS,
    pool: isGiven ? undefined : context.pool,
  })
  const first = await parts.next()
  if (first.done) throw new S3loError('INTERNAL', 'a body has no last part')
  const isTimed = options.notAfter !== undefined && first.value.bytes.byteLength > TIMED_BYTES
  const stopReading = (error: Error): void => {
    if (!isGiven) body.destroy(error)
  }
  try {
    return first.value.isLast && !isTimed && !context.isForcedInParts
      ? await write.whole(first.value.bytes)
      : await write.inParts(first.value, parts, stopReading)
  } catch (error) {
    throw toThrown(error)
  }
}

/** One write of one object. */
class Write {
  readonly what: string
  readonly #context: UploadContext
  readonly #service: S3Service
  readonly #key: string
  readonly #options: PutOptions
  readonly #id = randomUUID()

  constructor(context: UploadContext, key: string, options: PutOptions) {
    this.what = context.service.nameOf(key)
    this.#context = context
    this.#service = context.service
    this.#key = key
    this.#options = options
  }

  /** Sends the object in one request. */
  async whole(bytes: Uint8Array): Promise<ObjectInfo> {
    const { condition, notAfter } = this.#options
    // Without conditions another attempt writes the same again, so they need not be told apart;
    // but services other than AWS may leave out the etag, which is the proof of a write.
    const isNamed =
      condition !== undefined || notAfter !== undefined || !this.#service.endpoint.isAws
    const input = {
      ...this.#target(),
      ...this.#description(isNamed),
      ...this.#conditions(),
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...this.#md5(bytes),
    }
    const { hold } = this.#context
    const facts = await this.#settle(async (settings) => {
      const output = await this.#service.trySend(settings, (client, attempt) => {
        const command = this.#service.until(new PutObjectCommand(input), notAfter)
        if (hold) holdBody(command, hold)
        attempt.expectSilence(sendingMs(bytes))
        return client.send(command, { abortSignal: attempt.signal })
      })
      return { etag: output.ETag, lastModified: dateOf(output) }
    }, isNamed)
    return this.#toInfo({ ...facts, size: bytes.byteLength })
  }

  /** Sends the object in parts, several at once, and makes it appear when all of them are there. */
  async inParts(
    first: Part,
    others: AsyncIterable<Part>,
    stopReading: (error: Error) => void,
  ): Promise<ObjectInfo> {
    const { budget, pool } = this.#context
    const { signal } = this.#options
    const uploadId = await this.#begin()
    try {
      const sent: SentPart[] = []
      const { count, size } = await sendParts(first, others, {
        send: async ({ bytes, index }, partSignal) => {
          sent[index] = await this.#sendPart(uploadId, bytes, index, partSignal)
        },
        stopReading,
        budget,
        pool,
        signal,
      })
      const parts = Array.from({ length: count }, (_, index) => ({
        PartNumber: index + 1,
        ETag: sent[index]?.etag ?? '',
        ...(sent[index]?.crc32 && { ChecksumCRC32: sent[index].crc32 }),
      }))
      return this.#toInfo({ ...(await this.#complete(uploadId, parts)), size })
    } catch (error) {
      await this.#abandon(uploadId)
      throw error
    }
  }

  async #begin(): Promise<string> {
    const { signal } = this.#options
    // AWS takes checksums with the parts only of an upload that has begun with their kind.
    const checksum = this.#service.endpoint.isAws ? ({ ChecksumAlgorithm: 'CRC32' } as const) : {}
    const input = { ...this.#target(), ...this.#description(true), ...checksum }
    const { UploadId: id } = await this.#service.trySend(
      { what: this.what, signal },
      (client, attempt) =>
        client.send(new CreateMultipartUploadCommand(input), { abortSignal: attempt.signal }),
    )
    if (id) return id
    throw new S3loError('UNAVAILABLE', `${this.what}: the answer names no upload`)
  }

  async #sendPart(
    uploadId: string,
    bytes: Uint8Array,
    index: number,
    signal: AbortSignal,
  ): Promise<SentPart> {
    const input = {
      ...this.#target(),
      UploadId: uploadId,
      PartNumber: index + 1,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...this.#md5(bytes),
    }
    const { ETag: etag, ChecksumCRC32: crc32 } = await this.#service.trySend(
      { what: this.what, signal },
      (client, attempt) => {
        attempt.expectSilence(sendingMs(bytes))
        return client.send(new UploadPartCommand(input), { abortSignal: attempt.signal })
      },
    )
    if (etag) return { etag: quoted(bareEtag(etag)), crc32 }
    throw new S3loError('UNAVAILABLE', `${this.what}: the answer to a part has no etag`)
  }

  async #complete(uploadId: string, parts: CompletedPart[]): Promise<Omit<ObjectFacts, 'size'>> {
    const input = {
      ...this.#target(),
      ...this.#conditions(),
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
    }
    const { notAfter } = this.#options
    return this.#settle(async (settings) => {
      const output = await this.#service.trySend(settings, (client, attempt) => {
        attempt.expectSilence(parts.length * JOINING_MS)
        const command = new CompleteMultipartUploadCommand(input)
        return client.send(this.#service.until(command, notAfter), { abortSignal: attempt.signal })
      })
      return { etag: output.ETag, lastModified: dateOf(output) }
    }, true)
  }

  /**
   * Sends the request that makes the object appear. After an attempt whose answer was lost, a
   * refusal of the next one may come from our own object, so it is looked whether that is there.
   */
  async #settle(
    send: (settings: {
      readonly what: string
      readonly signal: AbortSignal | undefined
      readonly onRetry: () => void
      readonly onUnanswered: (() => void) | undefined
    }) => Promise<Omit<ObjectFacts, 'size'>>,
    isNamed: boolean,
  ): Promise<Omit<ObjectFacts, 'size'>> {
    const { signal, notAfter, onUnanswered } = this.#options
    let isUnsure = false
    const onRetry = (): void => {
      isUnsure = true
    }
    try {
      return await send({ what: this.what, signal, onRetry, onUnanswered })
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const found = isUnsure && isNamed ? await this.#findOwn() : undefined
      if (found) return found
      const { status, reason } = error.failure
      // An object that must be unchanged has to be there.
      if (this.#options.condition?.kind === 'unchanged' && status === 404 && isObject(reason)) {
        throw new S3loError('CONFLICT', `${this.what} was deleted by another client`)
      }
      throw new RequestError(withDeadline(error.failure, notAfter, this.what))
    }
  }

  async #findOwn(): Promise<ObjectFacts | undefined> {
    return findWrite(this.#service, this.#key, { id: this.#id, signal: this.#options.signal })
  }

  /** Some services leave the etag out of the answer to a write, and so does a proxy's own answer. */
  async #toInfo(facts: ObjectFacts): Promise<ObjectInfo> {
    if (facts.etag && facts.lastModified) return toObjectInfo(this.#key, facts)
    if (facts.etag) {
      const found = await look(this.#service, this.#key, this.#options)
      return toObjectInfo(this.#key, { ...facts, lastModified: found?.LastModified })
    }
    const own = await this.#findOwn()
    if (own) return toObjectInfo(this.#key, { ...own, size: facts.size })
    throw new S3loError('UNAVAILABLE', `${this.what} is not there after it was written`, {
      hint: 'check the endpoint, and that no proxy or login page answers for it',
    })
  }

  /** Parts that never become an object would cost money. Not bound to the caller's signal. */
  async #abandon(uploadId: string): Promise<void> {
    const signal = AbortSignal.timeout(CLEANUP_MS)
    const input = { ...this.#target(), UploadId: uploadId }
    try {
      await this.#service.send({ what: this.what, signal }, (client, attempt) =>
        client.send(new AbortMultipartUploadCommand(input), { abortSignal: attempt.signal }),
      )
    } catch {
      // What failed before says more; `doctor` finds what is left behind.
    }
  }

  #target(): WriteInput {
    return { Bucket: this.#service.bucket, Key: this.#key }
  }

  #description(isNamed: boolean): {
    readonly ContentType?: string
    readonly Metadata?: Record<string, string>
    readonly StorageClass?: 'INTELLIGENT_TIERING'
  } {
    const { mediaType, storageClass } = this.#options
    const isTiered = storageClass === 'tiered' && this.#service.endpoint.isAws
    return {
      ...(mediaType !== undefined && { ContentType: mediaType }),
      ...(isNamed && { Metadata: { [WRITE_ID]: this.#id } }),
      ...(isTiered && { StorageClass: 'INTELLIGENT_TIERING' }),
    }
  }

  #conditions(): { readonly IfNoneMatch?: string; readonly IfMatch?: string } {
    const { condition } = this.#options
    if (condition?.kind === 'absent') return { IfNoneMatch: '*' }
    if (condition?.kind === 'unchanged') return { IfMatch: quoted(condition.etag) }
    return {}
  }

  /** AWS gets the SDK's checksum; this one is understood by every other service. */
  #md5(bytes: Uint8Array): { readonly ContentMD5?: string } {
    if (this.#service.endpoint.isAws) return {}
    return { ContentMD5: createHash('md5').update(bytes).digest('base64') }
  }
}

/** True when a 404 is about the object, and not about its bucket or upload. */
function isObject(reason: string | undefined): boolean {
  return reason === undefined || reason === 'NoSuchKey'
}

/** The time that the slowest line may take: the SDK does not tell how far a body is on its way. */
function sendingMs({ byteLength }: Uint8Array): number {
  return byteLength / SLOWEST_BYTES_PER_MS
}
