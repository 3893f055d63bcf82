import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  bareEtag,
  ForeignAnswerError,
  type NumberedPart,
  type ObjectWrite,
  type PartsEnd,
  type PartsUpload,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { dateOf, quoted, WRITE_ID } from './object-info.ts'
import { checksPayload } from './payload-check.ts'
import type { S3Request } from './s3-request.ts'
import type { S3Service } from './s3-service.ts'
import { escapeXml, textOf, XMLNS } from './xml.ts'

const DEFAULT_MEDIA_TYPE = 'application/octet-stream'
/** What a service may take for each part when it makes an object of them. */
const JOINING_MS = 100

type Headers = Readonly<Record<string, string>>
type Checksum = S3Request['checksum']

/** What the service says of a part, which the completion has to repeat. */
interface SentPart {
  readonly etag: string
  /** In base64. */
  readonly sha256: string | undefined
}

/** Writes an object in one request. */
export async function putObject(
  service: S3Service,
  write: ObjectWrite,
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const { key, notAfter, hold, digest } = write
  // A signature that ends does not cover the body.
  const isChecked =
    notAfter === undefined && (await checksPayload(service, bytes.byteLength, attempt))
  const { headers } = await service.request(
    {
      operation: 'PutObject',
      key,
      headers: {
        'content-type': DEFAULT_MEDIA_TYPE,
        ...descriptionOf(service, write),
        ...conditionsOf(write),
      },
      body: bytes,
      sha256: /^sha256:([0-9a-f]{64})$/.exec(digest ?? '')?.[1],
      checksum: checksumOf(service, isChecked),
      notAfter,
      hold,
    },
    attempt,
  )
  return writeAnswer(headers['etag'], headers['date'])
}

/** What an upload that copies an object is begun with. */
interface CopyBasis {
  /** Headers that describe the object. */
  readonly description: Headers
  /** What the service may take to make an object of the parts (milliseconds). */
  readonly joiningMs: number
}

/** A part of another object: its headers are those of a copy's source. */
interface CopiedPart {
  readonly index: number
  readonly source: Headers
  /** How long the service may be silent at it. */
  readonly silenceMs: number
}

/** A multipart upload, of bytes or of parts of another object. */
export class MultipartUpload implements PartsUpload {
  readonly #service: S3Service
  readonly #write: ObjectWrite
  readonly #id: string
  readonly #joiningMs: number | undefined
  /** Of the parts that are sent. */
  readonly #checksum: Checksum
  readonly #sent: SentPart[] = []

  private constructor(
    service: S3Service,
    write: ObjectWrite,
    id: string,
    { joiningMs, checksum }: { readonly joiningMs?: number; readonly checksum: Checksum },
  ) {
    this.#service = service
    this.#write = write
    this.#id = id
    this.#joiningMs = joiningMs
    this.#checksum = checksum
  }

  static async begin(
    service: S3Service,
    write: ObjectWrite,
    attempt: Attempt,
    basis?: CopyBasis,
  ): Promise<MultipartUpload> {
    // AWS takes checksums with the parts only of an upload that has begun with their kind.
    const hasChecksums = service.endpoint.isAws && !basis
    const headers = {
      ...basis?.description,
      ...descriptionOf(service, write),
      ...(hasChecksums && { 'x-amz-checksum-algorithm': 'SHA256' }),
    }
    const { document } = await service.request(
      { operation: 'CreateMultipartUpload', key: write.key, query: { uploads: '' }, headers },
      attempt,
    )
    const id = document && textOf(document, 'UploadId')
    if (!id) throw new ForeignAnswerError('expected the id of an upload, got none')
    // Nothing of a copy is sent from here; what is sent in parts is large.
    const isChecked = !basis && (await checksPayload(service, Infinity, attempt))
    const checksum = checksumOf(service, isChecked)
    return new MultipartUpload(service, write, id, { ...basis, checksum })
  }

  async send({ bytes, index }: NumberedPart, attempt: Attempt): Promise<void> {
    const { headers } = await this.#service.request(
      {
        operation: 'UploadPart',
        key: this.#write.key,
        query: { ...this.#query, partNumber: String(index + 1) },
        body: bytes,
        checksum: this.#checksum,
      },
      attempt,
    )
    this.#keep(index, headers['etag'], headers['x-amz-checksum-sha256'])
  }

  /** Lets the service take a part from another object. */
  async copyPart({ index, source, silenceMs }: CopiedPart, attempt: Attempt): Promise<void> {
    const { document } = await this.#service.request(
      {
        operation: 'UploadPartCopy',
        key: this.#write.key,
        query: { ...this.#query, partNumber: String(index + 1) },
        headers: source,
        silenceMs,
      },
      attempt,
    )
    this.#keep(index, document && textOf(document, 'ETag'))
  }

  async complete({ count }: PartsEnd, attempt: Attempt): Promise<WriteAnswer> {
    const parts = this.#sent.slice(0, count).map(partElement)
    const list = `<CompleteMultipartUpload xmlns="${XMLNS}">${parts.join('')}</CompleteMultipartUpload>`
    const { headers, document } = await this.#service.request(
      {
        operation: 'CompleteMultipartUpload',
        key: this.#write.key,
        query: this.#query,
        headers: { 'content-type': 'application/xml', ...conditionsOf(this.#write) },
        body: Buffer.from(list),
        notAfter: this.#write.notAfter,
        silenceMs: this.#joiningMs ?? count * JOINING_MS,
      },
      attempt,
    )
    return writeAnswer(document && textOf(document, 'ETag'), headers['date'])
  }

  async abort(attempt: Attempt): Promise<void> {
    const { key } = this.#write
    const request = { operation: 'AbortMultipartUpload', key, query: this.#query } as const
    await this.#service.request(request, attempt)
  }

  #keep(index: number, etag: string | undefined, sha256?: string): void {
    if (!etag) {
      throw new S3loError('UNAVAILABLE', `${this.#write.what}: the answer to a part has no etag`)
    }
    this.#sent[index] = { etag: quoted(bareEtag(etag)), sha256 }
  }

  get #query(): { readonly uploadId: string } {
    return { uploadId: this.#id }
  }
}

function partElement({ etag, sha256 }: SentPart, index: number): string {
  const checksum =
    sha256 === undefined ? '' : `<ChecksumSHA256>${escapeXml(sha256)}</ChecksumSHA256>`
  return `<Part><ETag>${escapeXml(etag)}</ETag>${checksum}<PartNumber>${index + 1}</PartNumber></Part>`
}

function writeAnswer(etag: string | undefined, date: string | undefined): WriteAnswer {
  // The time of the answer, by the service's clock, is that of the write: it says no other.
  return { etag: etag && bareEtag(etag), lastModified: dateOf(date), storageClass: 'STANDARD' }
}

/**
 * What guards a body beside its signed hash. AWS keeps a checksum with the object, and a bucket whose
 * objects are locked wants one. Every other service knows an MD5, which says the same again where it
 * `isChecked` that the service holds the body against the hash.
 */
function checksumOf({ endpoint }: S3Service, isChecked: boolean): Checksum {
  if (endpoint.isAws) return 'sha256'
  return isChecked ? undefined : 'md5'
}

function descriptionOf(
  { endpoint }: S3Service,
  { mark, mediaType, storageClass }: ObjectWrite,
): Headers {
  return {
    ...(mediaType !== undefined && { 'content-type': mediaType }),
    ...(mark !== undefined && { [`x-amz-meta-${WRITE_ID}`]: mark }),
    ...(storageClass === 'tiered' &&
      endpoint.isAws && { 'x-amz-storage-class': 'INTELLIGENT_TIERING' }),
  }
}

function conditionsOf({ condition }: ObjectWrite): Headers {
  if (condition?.kind === 'absent') return { 'if-none-match': '*' }
  if (condition?.kind === 'unchanged') return { 'if-match': quoted(condition.etag) }
  return {}
}
