import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { BlockBlobClient, BlockBlobUploadOptions } from '@azure/storage-blob'
import { type ObjectInfo, type PutOptions, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type BufferPool,
  type CallSettings,
  type Lanes,
  type Part,
  readParts,
  RequestError,
  type Requests,
  sendParts,
  toThrown,
  withDeadline,
} from '@s3lo/core/transfer'
import type { Container } from './container.ts'
import { type BlobFacts, quoted, toObjectInfo } from './object-info.ts'

/** Blobs of up to this size are sent in one request, larger ones in blocks of this size. */
export const PART_BYTES = 8 * 1024 * 1024
/** The service takes no more blocks than this in one blob. */
const MOST_BLOCKS = 50_000
/** A deadline is judged when a request begins, so what is sent with one must not take long. */
const TIMED_BYTES = 64 * 1024
/** Pieces in which a request's body goes out, so that a slow line differs from a silent one. */
const SLICE_BYTES = 128 * 1024
/** Names the write that made a blob, for the one case that its answer is lost. */
const WRITE_ID = 's3lo_write'

/** What all uploads of a backend share. */
export interface UploadContext {
  readonly container: Container
  readonly requests: Requests
  readonly lanes: Lanes
  readonly pool: BufferPool
  readonly partBytes: number
}

/** Writes a blob whole or not at all. Does not destroy the body. */
export async function upload(
  context: UploadContext,
  key: string,
  body: Uint8Array | Readable,
  options: PutOptions,
): Promise<ObjectInfo> {
  const write = new Write(context, key, options)
  const { partBytes, pool } = context
  const parts = readParts(body, {
    what: write.what,
    size: options.size,
    partBytes,
    mostParts: MOST_BLOCKS,
    pool: body instanceof Uint8Array ? undefined : pool,
  })
  const first = await parts.next()
  if (first.done) throw new S3loError('INTERNAL', 'a body has no last part')
  const isTimed = options.notAfter !== undefined && first.value.bytes.byteLength > TIMED_BYTES
  const stopReading = (error: Error): void => {
    if (!(body instanceof Uint8Array)) body.destroy(error)
  }
  try {
    return first.value.isLast && !isTimed
      ? await write.whole(first.value.bytes)
      : await write.staged(first.value, parts, stopReading)
  } catch (error) {
    throw toThrown(error)
  }
}

/** One write of one blob. */
class Write {
  readonly what: string
  readonly #context: UploadContext
  readonly #key: string
  readonly #client: BlockBlobClient
  readonly #options: PutOptions
  /** In the metadata of a small blob, or in the names of a large one's blocks. */
  readonly #id = randomUUID()
  /** When the first block had arrived. */
  #started: Date | undefined

  constructor(context: UploadContext, key: string, options: PutOptions) {
    this.what = `az://${context.container.name}/${key}`
    this.#context = context
    this.#key = key
    this.#client = context.container.blob(key)
    this.#options = options
  }

  /** Sends the blob in one request. */
  async whole(bytes: Uint8Array): Promise<ObjectInfo> {
    const { condition, notAfter } = this.#options
    // Without conditions another attempt writes the same again, so they need not be told apart.
    const isGuarded = condition !== undefined || notAfter !== undefined
    const options: BlockBlobUploadOptions = {
      ...this.#commitOptions(),
      ...(isGuarded && { metadata: { [WRITE_ID]: this.#id } }),
      transactionalContentMD5: md5(bytes),
    }
    const facts = await this.#settle(
      (settings) =>
        this.#context.requests.trySend(settings, (attempt) =>
          this.#committer().upload(bodyOf(bytes), bytes.byteLength, {
            ...options,
            ...under(attempt),
          }),
        ),
      isGuarded ? () => this.#findByMetadata() : undefined,
    )
    return toObjectInfo(this.#key, { contentLength: bytes.byteLength, ...pick(facts) })
  }

  /** Sends the blob in blocks, several at once, and makes it appear when all of them are there. */
  async staged(
    first: Part,
    others: AsyncIterable<Part>,
    stopReading: (error: Error) => void,
  ): Promise<ObjectInfo> {
    const { ids, size } = await this.#stage(first, others, stopReading)
    const facts = await this.#settle(
      (settings) =>
        this.#context.requests.trySend(settings, ({ signal }) =>
          this.#committer().commitBlockList(ids, { ...this.#commitOptions(), abortSignal: signal }),
        ),
      () => this.#findByBlocks(ids),
    ).catch((error: unknown) => this.#findOvertaker(error, size))
    return toObjectInfo(this.#key, { contentLength: size, ...pick(facts) })
  }

  async #stage(
    first: Part,
    others: AsyncIterable<Part>,
    stopReading: (error: Error) => void,
  ): Promise<{ readonly ids: string[]; readonly size: number }> {
    const { lanes, pool } = this.#context
    const { count, size } = await sendParts(first, others, {
      send: (bytes, index, signal) => this.#stageBlock(blockId(this.#id, index), bytes, signal),
      stopReading,
      lanes,
      pool,
      signal: this.#options.signal,
    })
    return { ids: Array.from({ length: count }, (_, index) => blockId(this.#id, index)), size }
  }

  async #stageBlock(id: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const transactionalContentMD5 = md5(bytes)
    const { date } = await this.#context.requests.send({ what: this.what, signal }, (attempt) =>
      this.#client.stageBlock(id, bodyOf(bytes), bytes.byteLength, {
        transactionalContentMD5,
        ...under(attempt),
      }),
    )
    this.#started ??= date
  }

  /**
   * Sends the request that makes the blob appear. After an attempt whose answer was lost, a refusal
   * of the next one may come from our own blob, so `find` looks whether it is there.
   */
  async #settle(
    send: (settings: CallSettings) => Promise<BlobFacts>,
    find: (() => Promise<BlobFacts | undefined>) | undefined,
  ): Promise<BlobFacts> {
    const { signal, notAfter, onUnanswered } = this.#options
    let isUnsure = false
    const onRetry = (): void => {
      isUnsure = true
    }
    try {
      return await send({ what: this.what, signal, onRetry, onUnanswered })
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const found = isUnsure ? await find?.() : undefined
      if (found) return found
      throw new RequestError(withDeadline(error.failure, notAfter, this.what))
    }
  }

  async #findByMetadata(): Promise<BlobFacts | undefined> {
    const facts = await this.#look()
    return facts?.metadata?.[WRITE_ID] === this.#id ? facts : undefined
  }

  async #findByBlocks(ids: readonly string[]): Promise<BlobFacts | undefined> {
    const { requests } = this.#context
    const settings = { what: this.what, signal: this.#options.signal }
    const list = await requests
      .trySend(settings, ({ signal }) =>
        this.#client.getBlockList('committed', { abortSignal: signal }),
      )
      .catch(ignoreMissing)
    return list?.committedBlocks?.[0]?.name === ids[0] ? list : undefined
  }

  /**
   * A commit of a blob discards the blocks that others have staged for it. Without a
   * condition that is no failure: our write came just before theirs, and theirs replaced it. So a
   * blob of the same length that is younger than our upload counts as ours.
   */
  async #findOvertaker(error: unknown, size: number): Promise<BlobFacts> {
    if (!(error instanceof RequestError)) throw error
    const { condition, notAfter } = this.#options
    const isOvertaken = error.failure.reason === 'InvalidBlockList'
    if (isOvertaken && condition === undefined && notAfter === undefined) {
      const facts = await this.#look()
      if (facts?.contentLength === size && this.#isSinceStart(facts)) return facts
    }
    throw error
  }

  /** By the clock of the service, which both dates are of. */
  #isSinceStart({ lastModified }: BlobFacts): boolean {
    return (
      lastModified !== undefined && this.#started !== undefined && lastModified >= this.#started
    )
  }

  async #look(): Promise<Awaited<ReturnType<BlockBlobClient['getProperties']>> | undefined> {
    const settings = { what: this.what, signal: this.#options.signal }
    return this.#context.requests
      .trySend(settings, ({ signal }) => this.#client.getProperties({ abortSignal: signal }))
      .catch(ignoreMissing)
  }

  #commitOptions(): Pick<BlockBlobUploadOptions, 'blobHTTPHeaders' | 'conditions'> {
    const { condition, mediaType } = this.#options
    return {
      ...(mediaType !== undefined && { blobHTTPHeaders: { blobContentType: mediaType } }),
      ...(condition?.kind === 'absent' && { conditions: { ifNoneMatch: '*' } }),
      ...(condition?.kind === 'unchanged' && { conditions: { ifMatch: quoted(condition.etag) } }),
    }
  }

  /** The client of the request that makes the blob appear. */
  #committer(): BlockBlobClient {
    const { notAfter } = this.#options
    if (notAfter === undefined) return this.#client
    return this.#context.container.signedBlob(this.#key, 'cw', notAfter)
  }
}

/** `undefined` for a blob that is not there. */
export function ignoreMissing(error: unknown): undefined {
  if (error instanceof RequestError && error.failure.reason === 'BlobNotFound') return undefined
  throw toThrown(error)
}

function pick({ etag, lastModified }: BlobFacts): BlobFacts {
  return { etag, lastModified }
}

/** All of one blob have to be equally long. */
function blockId(uploadId: string, index: number): string {
  return Buffer.from(`${uploadId}-${String(index).padStart(5, '0')}`).toString('base64')
}

function md5(bytes: Uint8Array): Uint8Array {
  return createHash('md5').update(bytes).digest()
}

function under({ signal, progress }: Attempt): {
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
