import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type UploadPartCopyCommandInput,
} from '@aws-sdk/client-s3'
import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  bareEtag,
  type NumberedPart,
  type ObjectWrite,
  type PartsEnd,
  type PartsUpload,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { quoted, WRITE_ID } from './object-info.ts'
import { checksPayload } from './payload-check.ts'
import { dateOf, holdBody } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** A line slower than this is one that stands still. */
const SLOWEST_BYTES_PER_MS = 32
/** What a service may take for each part when it makes an object of them. */
const JOINING_MS = 100

/** What the service says of a part, which the completion has to repeat. */
interface SentPart {
  readonly etag: string
  readonly crc32: string | undefined
}

/** Writes an object in one request. */
export async function putObject(
  service: S3Service,
  write: ObjectWrite,
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const input = {
    ...targetOf(service, write),
    ...descriptionOf(service, write),
    ...conditionsOf(write),
    Body: bytes,
    ContentLength: bytes.byteLength,
    ...(!service.endpoint.isAws && md5(bytes)),
  }
  const sdk = await service.sdk()
  const command = sdk.until(new PutObjectCommand(input), write.notAfter)
  if (write.hold) holdBody(command, write.hold)
  attempt.expectSilence(sendingMs(bytes))
  return answerOf(await sdk.client.send(command, { abortSignal: attempt.signal }))
}

/** What an upload that copies an object is begun with. */
interface CopyBasis {
  readonly description: Pick<HeadObjectCommandOutput, 'ContentType' | 'Metadata' | 'StorageClass'>
  /** What the service may take to make an object of the parts (milliseconds). */
  readonly joiningMs: number
}

/** A multipart upload, of bytes or of parts of another object. */
export class MultipartUpload implements PartsUpload {
  readonly #service: S3Service
  readonly #write: ObjectWrite
  readonly #id: string
  readonly #joiningMs: number | undefined
  /** Whether the parts need a checksum beside the one that the signature has. */
  readonly #needsMd5: boolean
  readonly #sent: SentPart[] = []

  private constructor(
    service: S3Service,
    write: ObjectWrite,
    id: string,
    { joiningMs, needsMd5 }: { readonly joiningMs?: number; readonly needsMd5: boolean },
  ) {
    this.#service = service
    this.#write = write
    this.#id = id
    this.#joiningMs = joiningMs
    this.#needsMd5 = needsMd5
  }

  static async begin(
    service: S3Service,
    write: ObjectWrite,
    attempt: Attempt,
    basis?: CopyBasis,
  ): Promise<MultipartUpload> {
    // AWS takes checksums with the parts only of an upload that has begun with their kind.
    const hasChecksums = service.endpoint.isAws && !basis
    const own = descriptionOf(service, write)
    const command = new CreateMultipartUploadCommand({
      ...targetOf(service, write),
      ...basis?.description,
      ...own,
      Metadata: { ...basis?.description.Metadata, ...own.Metadata },
      ...(hasChecksums && { ChecksumAlgorithm: 'CRC32' }),
    })
    const { client } = await service.sdk()
    const { UploadId: id } = await client.send(command, { abortSignal: attempt.signal })
    const isGuarded = basis !== undefined || service.endpoint.isAws
    const needsMd5 = !isGuarded && !(service.isProven && (await checksPayload(service, attempt)))
    if (id) return new MultipartUpload(service, write, id, { ...basis, needsMd5 })
    throw new S3loError('UNAVAILABLE', `${write.what}: the answer names no upload`)
  }

  async send({ bytes, index }: NumberedPart, attempt: Attempt): Promise<void> {
    const input = {
      ...this.#target(),
      PartNumber: index + 1,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...(this.#needsMd5 && md5(bytes)),
    }
    const { client } = await this.#service.sdk()
    attempt.expectSilence(sendingMs(bytes))
    const { ETag: etag, ChecksumCRC32: crc32 } = await client.send(new UploadPartCommand(input), {
      abortSignal: attempt.signal,
    })
    this.#keep(index, etag, crc32)
  }

  /** Lets the service take a part from another object. */
  async copyPart(
    index: number,
    source: Pick<UploadPartCopyCommandInput, 'CopySource' | 'CopySourceRange'>,
    { signal }: Attempt,
  ): Promise<void> {
    const input = { ...this.#target(), ...source, PartNumber: index + 1 }
    const command = new UploadPartCopyCommand(input)
    const { client } = await this.#service.sdk()
    const { CopyPartResult: part } = await client.send(command, { abortSignal: signal })
    this.#keep(index, part?.ETag, undefined)
  }

  async complete({ count }: PartsEnd, attempt: Attempt): Promise<WriteAnswer> {
    const parts = this.#sent.slice(0, count).map(({ etag, crc32 }, index) => ({
      PartNumber: index + 1,
      ETag: etag,
      ...(crc32 !== undefined && { ChecksumCRC32: crc32 }),
    }))
    const command = new CompleteMultipartUploadCommand({
      ...this.#target(),
      ...conditionsOf(this.#write),
      MultipartUpload: { Parts: parts },
    })
    attempt.expectSilence(this.#joiningMs ?? count * JOINING_MS)
    const sdk = await this.#service.sdk()
    const timed = sdk.until(command, this.#write.notAfter)
    return answerOf(await sdk.client.send(timed, { abortSignal: attempt.signal }))
  }

  async abort({ signal }: Attempt): Promise<void> {
    const command = new AbortMultipartUploadCommand(this.#target())
    const { client } = await this.#service.sdk()
    await client.send(command, { abortSignal: signal })
  }

  #keep(index: number, etag: string | undefined, crc32: string | undefined): void {
    if (!etag) {
      throw new S3loError('UNAVAILABLE', `${this.#write.what}: the answer to a part has no etag`)
    }
    this.#sent[index] = { etag: quoted(bareEtag(etag)), crc32 }
  }

  #target(): WriteTarget & { readonly UploadId: string } {
    return { ...targetOf(this.#service, this.#write), UploadId: this.#id }
  }
}

/** What the SDK wants of every kind of write. */
interface WriteTarget {
  readonly Bucket: string
  readonly Key: string
}

function targetOf({ bucket }: S3Service, { key }: ObjectWrite): WriteTarget {
  return { Bucket: bucket, Key: key }
}

function answerOf(
  output: { readonly ETag?: string | undefined } & Parameters<typeof dateOf>[0],
): WriteAnswer {
  const { ETag: etag } = output
  return { etag: etag && bareEtag(etag), lastModified: dateOf(output), storageClass: 'STANDARD' }
}

function descriptionOf(
  { endpoint }: S3Service,
  { mark, mediaType, storageClass }: ObjectWrite,
): {
  readonly ContentType?: string
  readonly Metadata?: Record<string, string>
  readonly StorageClass?: 'INTELLIGENT_TIERING'
} {
  return {
    ...(mediaType !== undefined && { ContentType: mediaType }),
    ...(mark !== undefined && { Metadata: { [WRITE_ID]: mark } }),
    ...(storageClass === 'tiered' && endpoint.isAws && { StorageClass: 'INTELLIGENT_TIERING' }),
  }
}

function conditionsOf({ condition }: ObjectWrite): {
  readonly IfNoneMatch?: string
  readonly IfMatch?: string
} {
  if (condition?.kind === 'absent') return { IfNoneMatch: '*' }
  if (condition?.kind === 'unchanged') return { IfMatch: quoted(condition.etag) }
  return {}
}

/** Every service understands this one; AWS gets the SDK's checksum in its place. */
function md5(bytes: Uint8Array): { readonly ContentMD5: string } {
  return { ContentMD5: createHash('md5').update(bytes).digest('base64') }
}

/** The time that the slowest line may take: the SDK does not tell how far a body is on its way. */
function sendingMs({ byteLength }: Uint8Array): number {
  return byteLength / SLOWEST_BYTES_PER_MS
}
