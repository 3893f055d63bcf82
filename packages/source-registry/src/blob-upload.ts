import { pipeline, type Readable } from 'node:stream'
import { type Descriptor, Digester, parseDigest, readAll, verifyDigest } from '@s3lo/core'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { type Attempt, BufferPool, readParts, Requests } from '@s3lo/core/transfer'
import { ByteBudget } from './byte-budget.ts'
import { TransientError } from './registry-error.ts'
import type { RepositoryApi } from './repository-api.ts'
import { ChunksRefused, startUpload, UploadLost, type UploadSession } from './upload-session.ts'

/** How blobs are cut. */
export interface BlobUploaderOptions {
  /** Bytes of a chunk, and of the largest blob that goes in one request. Default 8 MiB. */
  readonly partBytes?: number | undefined
  /** Bytes that all uploads together may hold. Default 64 MiB. */
  readonly memoryBytes?: number | undefined
}

const MIB = 1024 * 1024
/** A registry that wants larger chunks than this gets the blob in one piece. */
const MAX_CHUNK_BYTES = 64 * MIB
/** A registry may copy a large blob to its place, silently, before it answers the last request. */
const FINISH_PATIENCE = 5
/** A registry that has lost so many uploads of one blob gets it in one stream. */
const MOST_LOSSES = 2
/** There is no limit to the number of chunks. */
const MOST_PARTS = Number.MAX_SAFE_INTEGER

/**
 * Uploads blobs: small ones in one request, which can be repeated from memory, larger ones in
 * chunks, of which an interruption costs at most one, and in one stream where the registry takes
 * no chunks. What failed is cancelled.
 */
export class BlobUploader {
  readonly #api: RepositoryApi
  readonly #partBytes: number
  readonly #budget: ByteBudget
  readonly #pool: BufferPool

  constructor(api: RepositoryApi, options: BlobUploaderOptions = {}) {
    const { partBytes = 8 * MIB, memoryBytes = 64 * MIB } = options
    this.#api = api
    this.#partBytes = partBytes
    this.#budget = new ByteBudget(memoryBytes)
    this.#pool = new BufferPool(partBytes, Math.ceil(memoryBytes / partBytes))
  }

  /** Stores a blob, verified. `opened` is an upload that the registry has opened already. */
  async push(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options: CallOptions = {},
    opened?: UploadSession,
  ): Promise<void> {
    const { size } = descriptor
    await this.#budget.use(Math.min(size, this.#partBytes), options.signal, async () => {
      if (size > this.#partBytes) await this.#pushLarge(descriptor, open, options, opened)
      else await this.#pushSmall(descriptor, open, options, opened)
    })
  }

  /** Stores a blob whose digest is not known yet. Throws `UNSUPPORTED` where no chunks are taken. */
  async ingest(content: Readable, size: number, options: CallOptions = {}): Promise<string> {
    return this.#budget.use(Math.min(size, this.#partBytes), options.signal, async () => {
      const session = await this.#start(options)
      try {
        const digester = new Digester()
        await this.#append(session, content, size, options, (bytes) => digester.update(bytes))
        const digest = digester.digest()
        await this.#finish(session, digest, options)
        return digest
      } catch (error) {
        await session.cancel()
        throw this.#fatal(error)
      } finally {
        content.destroy()
      }
    })
  }

  async #pushSmall(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    { signal }: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { digest, size } = descriptor
    const body = await readAll(checked(await open(), descriptor), size, digest)
    await this.#repeat(descriptor, signal, opened, (session, attempt) =>
      session.finish(digest, attempt, { body }),
    )
  }

  async #pushStream(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    { signal }: CallOptions,
  ): Promise<void> {
    const { digest, size } = descriptor
    await this.#repeat(descriptor, signal, undefined, async (session, attempt) => {
      const content = checked(await open(), descriptor)
      try {
        await session.finish(digest, attempt, { stream: { content, size } })
      } finally {
        content.destroy()
      }
    })
  }

  /** Sends a blob in one request, each attempt in an upload of its own. */
  async #repeat(
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
    opened: UploadSession | undefined,
    send: (session: UploadSession, attempt: Attempt) => Promise<void>,
  ): Promise<void> {
    const { requests } = this.#api.client
    const what = this.#api.nameOf(descriptor)
    let reusable = opened
    let isRepeated = false
    const onRetry = (): void => void (isRepeated = true)
    await requests.send({ what, signal, onRetry }, async (attempt) => {
      // The answer may be what was lost.
      if (isRepeated && (await this.#isThere(descriptor.digest, attempt))) return
      const session = reusable ?? (await startUpload(this.#api, attempt))
      reusable = undefined
      try {
        await send(session, attempt)
      } catch (error) {
        await session.cancel()
        throw error instanceof UploadLost ? new TransientError(lost(what)) : error
      }
    })
  }

  async #pushLarge(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { requests } = this.#api.client
    for (let losses = 1, session = opened; ; losses += 1, session = undefined) {
      try {
        await this.#pushChunks(descriptor, open, options, session)
        return
      } catch (error) {
        const isLost = error instanceof UploadLost
        if (!isLost && !(error instanceof ChunksRefused)) throw error
        if (!isLost || losses >= MOST_LOSSES) break
        await requests.wait(losses, { error, retryable: true }, options.signal)
      }
    }
    await this.#pushStream(descriptor, open, options)
  }

  async #pushChunks(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { digest, size } = descriptor
    const session = opened ?? (await this.#start(options))
    let content: Readable | undefined
    try {
      if (session.minChunkBytes > MAX_CHUNK_BYTES) throw new ChunksRefused('too large')
      content = checked(await open(), descriptor)
      await this.#append(session, content, size, options)
      await this.#finish(session, digest, options)
    } catch (error) {
      await session.cancel()
      throw error
    } finally {
      content?.destroy()
    }
  }

  async #append(
    session: UploadSession,
    content: Readable,
    size: number,
    options: CallOptions,
    onPart?: (bytes: Uint8Array) => void,
  ): Promise<void> {
    const partBytes = Math.max(this.#partBytes, session.minChunkBytes)
    const what = this.#api.nameOf({})
    let offset = 0
    const cut = { what, size, partBytes, mostParts: MOST_PARTS, pool: this.#pool }
    for await (const { bytes } of readParts(content, cut)) {
      onPart?.(bytes)
      if (bytes.byteLength > 0) await session.append(bytes, offset, options)
      offset += bytes.byteLength
      this.#pool.give(bytes)
    }
  }

  async #start({ signal }: CallOptions): Promise<UploadSession> {
    const what = this.#api.nameOf({})
    return this.#api.client.requests.send({ what, signal }, (attempt) =>
      startUpload(this.#api, attempt),
    )
  }

  async #finish(session: UploadSession, digest: string, { signal }: CallOptions): Promise<void> {
    const what = this.#api.nameOf({ digest })
    let isRepeated = false
    const onRetry = (): void => void (isRepeated = true)
    const { policy, toFailure } = this.#api.client.requests
    const patient = new Requests(
      { ...policy, stallMs: FINISH_PATIENCE * policy.stallMs },
      toFailure,
    )
    await patient.send({ what, signal, onRetry }, async (attempt) => {
      if (isRepeated && (await this.#isThere(digest, attempt))) return
      await session.finish(digest, attempt)
    })
  }

  async #isThere(digest: string, attempt: Attempt): Promise<boolean> {
    parseDigest(digest)
    const answer = await this.#api.client.answer(
      {
        method: 'HEAD',
        to: this.#api.path(`blobs/${digest}`),
        what: this.#api.nameOf({ digest }),
        scopes: this.#api.scopes('push'),
        expect: [200, 404],
      },
      attempt,
    )
    return answer.status === 200
  }

  #fatal(error: unknown): unknown {
    if (error instanceof UploadLost) return lost(this.#api.nameOf({}))
    if (!(error instanceof ChunksRefused)) return error
    return new S3loError(
      'UNSUPPORTED',
      `the registry ${this.#api.client.host} takes no chunks, and the digest is not known yet`,
      { hint: 'copy to an oci: layout first, and from there to the registry' },
    )
  }
}

/** The content, failing unless it is the descriptor's; its failure reaches whoever reads the result. */
function checked(content: Readable, descriptor: Descriptor): Readable {
  return pipeline(content, verifyDigest(descriptor), () => {})
}

function lost(what: string): S3loError {
  return new S3loError('UNAVAILABLE', `${what}: the registry lost the upload`, {
    hint: 'try again later',
  })
}
