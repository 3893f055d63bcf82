import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { type BlockBlobClient, type BlockBlobUploadOptions, RestError } from '@azure/storage-blob'
import {
  type Attempt,
  bareEtag,
  type NumberedPart,
  type ObjectWrite,
  type PartsEnd,
  type PartsUpload,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import type { Container } from './container.ts'
import { type BlobFacts, quoted } from './object-info.ts'

/** Pieces in which a request's body goes out, so that a slow line is told from a silent one. */
const SLICE_BYTES = 128 * 1024
/** The member of a blob's metadata that identifies the write that made it. */
export const WRITE_ID = 's3lo_write'

/** Writes a blob in one request. */
export async function putBlob(
  container: Container,
  write: ObjectWrite,
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const facts = await committerOf(container, write).upload(bodyOf(bytes), bytes.byteLength, {
    ...commitOptions(write),
    transactionalContentMD5: md5(bytes),
    ...limitsOf(attempt),
  })
  return answerOf(facts)
}

/** A blob of blocks, which appears with the list of them. A block without one goes after a week. */
export class BlockUpload implements PartsUpload {
  readonly #container: Container
  readonly #write: ObjectWrite
  readonly #client: BlockBlobClient
  /** Of its own, as others may write the blob too. */
  readonly #id = randomUUID()
  /** When the first block had arrived, by the clock of the service. */
  #started: Date | undefined

  constructor(container: Container, write: ObjectWrite) {
    this.#container = container
    this.#write = write
    this.#client = container.blob(write.key)
  }

  async send({ bytes, index }: NumberedPart, attempt: Attempt): Promise<void> {
    const { date } = await this.#client.stageBlock(
      this.#blockId(index),
      bodyOf(bytes),
      bytes.byteLength,
      { transactionalContentMD5: md5(bytes), ...limitsOf(attempt) },
    )
    this.#started ??= date
  }

  async complete({ count, size }: PartsEnd, { signal }: Attempt): Promise<WriteAnswer> {
    const ids = Array.from({ length: count }, (_, index) => this.#blockId(index))
    const committer = committerOf(this.#container, this.#write)
    try {
      const options = { ...commitOptions(this.#write), abortSignal: signal }
      return answerOf(await committer.commitBlockList(ids, options))
    } catch (error) {
      const overtaker = await this.#findOvertaker(error, size, signal)
      if (overtaker) return answerOf(overtaker)
      throw error
    }
  }

  /**
   * A commit throws away the blocks that others have staged for the blob. Without a condition that
   * is no failure: this write came just before the other, which replaced it. So a blob of the same
   * length that is younger than this upload counts as its outcome.
   */
  async #findOvertaker(
    error: unknown,
    size: number,
    abortSignal: AbortSignal,
  ): Promise<BlobFacts | undefined> {
    const { condition, notAfter } = this.#write
    const isOvertaken =
      error instanceof RestError &&
      error.response?.headers.get('x-ms-error-code') === 'InvalidBlockList'
    if (!isOvertaken || condition !== undefined || notAfter !== undefined) return undefined
    const facts = await this.#client.getProperties({ abortSignal })
    const { contentLength, lastModified } = facts
    const isYounger = lastModified && this.#started && lastModified >= this.#started
    return contentLength === size && isYounger ? facts : undefined
  }

  /** All of one blob have to be equally long. */
  #blockId(index: number): string {
    return Buffer.from(`${this.#id}-${String(index).padStart(5, '0')}`).toString('base64')
  }
}

function answerOf({ etag, lastModified }: BlobFacts): WriteAnswer {
  return { etag: etag && bareEtag(etag), lastModified }
}

function commitOptions({
  condition,
  mark,
  mediaType,
}: ObjectWrite): Pick<BlockBlobUploadOptions, 'blobHTTPHeaders' | 'conditions' | 'metadata'> {
  return {
    ...(mark !== undefined && { metadata: { [WRITE_ID]: mark } }),
    ...(mediaType !== undefined && { blobHTTPHeaders: { blobContentType: mediaType } }),
    ...(condition?.kind === 'absent' && { conditions: { ifNoneMatch: '*' } }),
    ...(condition?.kind === 'unchanged' && { conditions: { ifMatch: quoted(condition.etag) } }),
  }
}

/** The client of the request that makes the blob appear. */
function committerOf(container: Container, { key, notAfter }: ObjectWrite): BlockBlobClient {
  return notAfter === undefined ? container.blob(key) : container.signedBlob(key, 'cw', notAfter)
}

function md5(bytes: Uint8Array): Uint8Array {
  return createHash('md5').update(bytes).digest()
}

function limitsOf({ signal, progress }: Attempt): {
  readonly abortSignal: AbortSignal
  readonly onProgress: () => void
} {
  return { abortSignal: signal, onProgress: progress }
}

/** A stream for each attempt, since one that was sent cannot be sent again. */
function bodyOf(bytes: Uint8Array): () => NodeJS.ReadableStream {
  return () => Readable.from(slicesOf(bytes), { objectMode: false })
}

function* slicesOf(bytes: Uint8Array): Generator<Uint8Array, void> {
  for (let start = 0; start < bytes.byteLength; start += SLICE_BYTES) {
    yield bytes.subarray(start, start + SLICE_BYTES)
  }
}
