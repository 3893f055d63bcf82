import { Readable } from 'node:stream'
import { type Descriptor, Digester, readAll, verified } from '@s3lo/core'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { type Attempt, BufferPool, ByteBudget, PartReader } from '@s3lo/core/transfer'
import { hasBlob } from './blob-lookup.ts'
import { TransientError } from './registry-error.ts'
import type { RepositoryApi } from './repository-api.ts'
import { ChunksRefused, startUpload, UploadLost, type UploadSession } from './upload-session.ts'

/** How blobs are cut. */
export interface BlobUploaderOptions {
  /** Bytes of a chunk, and of the largest blob that goes in one request. Default 8 MiB. */
  readonly partBytes?: number | undefined
  /** Bytes that all uploads together may hold, and the largest chunk. Default 64 MiB. */
  readonly memoryBytes?: number | undefined
}

const MIB = 1024 * 1024
/** A registry that has lost so many uploads of one blob gets it in one stream. */
const MOST_LOSSES = 2

/** Gives the content of a blob from its start. */
type Opener = () => Promise<Readable>

/**
 * Uploads blobs: small ones in one request, which can be repeated from memory, larger ones in
 * chunks, of which an interruption costs at most one, and in one stream where the registry takes
 * no chunks. What failed is cancelled.
 */
export class BlobUploader {
  readonly #api: RepositoryApi
  readonly #partBytes: number
  readonly #memoryBytes: number
  readonly #budget: ByteBudget
  readonly #pool: BufferPool
  /** False once the registry has shown that chunks lead nowhere. */
  #takesChunks = true

  constructor(api: RepositoryApi, options: BlobUploaderOptions = {}) {
    const { partBytes = 8 * MIB, memoryBytes = 64 * MIB } = options
    this.#api = api
    this.#partBytes = partBytes
    this.#memoryBytes = memoryBytes
    this.#budget = new ByteBudget(memoryBytes)
    this.#pool = new BufferPool(memoryBytes)
  }

  /** Stores a blob, verified. `opened` is an upload that the registry has opened already. */
  async push(
    descriptor: Descriptor,
    open: Opener,
    options: CallOptions = {},
    opened?: UploadSession,
  ): Promise<void> {
    const { size } = descriptor
    const openChecked: Opener = async () => verified(await open(), descriptor)
    if (size > this.#partBytes) {
      await this.#pushLarge(descriptor, openChecked, options, opened)
    } else {
      await this.#budget.use(size, options.signal, () =>
        this.#pushSmall(descriptor, openChecked, options, opened),
      )
    }
  }

  /** Stores a blob whose digest is not known yet. Throws `UNSUPPORTED` where no chunks are taken. */
  async ingest(content: Readable, size: number, options: CallOptions = {}): Promise<string> {
    try {
      const session = await this.#start(options)
      return await orCancel(session, () => this.#ingestChunks(session, content, size, options))
    } catch (error) {
      throw this.#fatal(error)
    } finally {
      content.destroy()
    }
  }

  async #ingestChunks(
    session: UploadSession,
    content: Readable,
    size: number,
    options: CallOptions,
  ): Promise<string> {
    if (this.#chunkBytes(session, size) > this.#memoryBytes) throw new ChunksRefused('too large')
    const parts = new PartReader(content, { what: this.#api.nameOf({}), size })
    const digester = new Digester()
    await this.#withMemory(session, size, options, (memory) =>
      this.#append(session, parts, memory, options, (bytes) => digester.update(bytes)),
    )
    const digest = digester.digest()
    await this.#finish(session, { digest, size }, options)
    return digest
  }

  async #pushSmall(
    descriptor: Descriptor,
    open: Opener,
    { signal }: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { digest, size } = descriptor
    const body = await readAll(await open(), size, digest)
    await this.#repeat(descriptor, signal, opened, (session, attempt) =>
      session.finish(digest, attempt, { body }),
    )
  }

  async #pushStream(
    descriptor: Descriptor,
    open: Opener,
    { signal }: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { digest, size } = descriptor
    await this.#repeat(descriptor, signal, opened, async (session, attempt) => {
      const content = await open()
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
      if (isRepeated && (await this.#isThere(descriptor, attempt))) return
      const session = reusable ?? (await startUpload(this.#api, attempt))
      reusable = undefined
      await orCancel(session, () => send(session, attempt)).catch((error: unknown) => {
        throw error instanceof UploadLost ? new TransientError(lost(what)) : error
      })
    })
  }

  async #pushLarge(
    descriptor: Descriptor,
    open: Opener,
    options: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { requests } = this.#api.client
    let session = opened
    let losses = 0
    while (this.#takesChunks) {
      try {
        await this.#pushChunks(descriptor, open, options, session)
        return
      } catch (error) {
        if (!(error instanceof UploadLost)) throw error
        session = undefined
        losses += 1
        if (losses >= MOST_LOSSES) this.#takesChunks = false
        else await requests.wait(losses, { error, retryable: true }, options.signal)
      }
    }
    await this.#pushStream(descriptor, open, options, session)
  }

  async #pushChunks(
    descriptor: Descriptor,
    open: Opener,
    options: CallOptions,
    opened?: UploadSession,
  ): Promise<void> {
    const { size } = descriptor
    const session = opened ?? (await this.#start(options))
    if (this.#chunkBytes(session, size) > this.#memoryBytes) {
      return this.#pushStream(descriptor, open, options, session)
    }
    await orCancel(session, () =>
      this.#withMemory(session, size, options, async (memory) => {
        const content = await open()
        const parts = new PartReader(content, { what: this.#api.nameOf(descriptor), size })
        try {
          await this.#append(session, parts, memory, options)
          await this.#finish(session, descriptor, options)
        } catch (error) {
          if (!(error instanceof ChunksRefused)) throw error
          this.#takesChunks = false
          await session.cancel()
          // Content that passes only once is not given again: the stream continues with it.
          const all = Readable.from(parts.fromLast(), { objectMode: false })
          await this.#pushStream(descriptor, givingFirst(all, open), options)
        } finally {
          content.destroy()
        }
      }),
    )
  }

  async #append(
    session: UploadSession,
    parts: PartReader,
    memory: Uint8Array,
    options: CallOptions,
    onPart?: (bytes: Uint8Array) => void,
  ): Promise<void> {
    for (let offset = 0; ;) {
      const bytes = await parts.fill(memory)
      if (bytes.byteLength === 0) return
      onPart?.(bytes)
      await session.append(bytes, offset, options)
      offset += bytes.byteLength
    }
  }

  /** Lends memory for a chunk, as large as the registry wants it. */
  async #withMemory<T>(
    session: UploadSession,
    size: number,
    { signal }: CallOptions,
    use: (memory: Uint8Array) => Promise<T>,
  ): Promise<T> {
    const bytes = this.#chunkBytes(session, size)
    return this.#budget.use(bytes, signal, async () => {
      const memory = this.#pool.take(bytes)
      try {
        return await use(memory)
      } finally {
        this.#pool.give(memory)
      }
    })
  }

  /** Bytes of a chunk of a blob of `size` bytes; the registry may set a minimum for each upload. */
  #chunkBytes({ minChunkBytes }: UploadSession, size: number): number {
    return Math.max(1, Math.min(size, Math.max(this.#partBytes, minChunkBytes)))
  }

  async #start({ signal }: CallOptions): Promise<UploadSession> {
    const what = this.#api.nameOf({})
    return this.#api.client.requests.send({ what, signal }, (attempt) =>
      startUpload(this.#api, attempt),
    )
  }

  async #finish(
    session: UploadSession,
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    { signal }: CallOptions,
  ): Promise<void> {
    const what = this.#api.nameOf({ digest })
    let isRepeated = false
    const onRetry = (): void => void (isRepeated = true)
    await this.#api.client.requests.send({ what, signal, onRetry }, async (attempt) => {
      if (isRepeated && (await this.#isThere({ digest, size }, attempt))) return
      await session.finish(digest, attempt)
    })
  }

  #isThere(blob: Pick<Descriptor, 'digest' | 'size'>, attempt: Attempt): Promise<boolean> {
    const { client } = this.#api
    return hasBlob(this.#api, blob, 'push', (call) => client.answer(call, attempt))
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

/** What `use` gives; when it fails, the upload is given up. */
async function orCancel<T>(session: UploadSession, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    await session.cancel()
    throw error
  }
}

/** An opener that gives `first` once, and then what `open` gives. */
function givingFirst(first: Readable, open: Opener): Opener {
  let next: Opener = () => Promise.resolve(first)
  return () => {
    const opening = next()
    next = open
    return opening
  }
}

function lost(what: string): S3loError {
  return new S3loError('UNAVAILABLE', `${what}: the registry lost the upload`, {
    hint: 'try again later',
  })
}
