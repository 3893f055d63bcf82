import type { Readable } from 'node:stream'
import {
  type BackendGuarantees,
  type CallOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  forEachConcurrent,
  type GetOptions,
  isS3loError,
  type ListOptions,
  type ObjectBody,
  type ObjectInfo,
  type PresignOptions,
  type PutOptions,
  S3loError,
  type StorageBackend,
} from '@s3lo/core/plugin'
import {
  BufferPool,
  type CallSettings,
  DEFAULT_RETRY_POLICY,
  guardedWrite,
  Lanes,
  RequestError,
  Requests,
  type RetryPolicy,
  toThrown,
  withDeadline,
} from '@s3lo/core/transfer'
import type { AzureAccount } from './account.ts'
import { Container } from './container.ts'
import { copyBlob } from './copy.ts'
import { diagnoseContainer } from './diagnose.ts'
import { openBlob } from './download.ts'
import { toFailure } from './errors.ts'
import { listBlobs, listFolders } from './list.ts'
import { type BlobFacts, isWhole, quoted, toObjectInfo } from './object-info.ts'
import { ignoreMissing, PART_BYTES, upload } from './upload.ts'

/** What an {@link AzureBackend} can be made with. */
export interface AzureBackendOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
  /** Bytes of a block; what is not longer is sent in one request. */
  readonly partBytes?: number | undefined
  /** Upper bound on concurrent parts across all transfers in one direction; each transfer always gets one. */
  readonly parallelParts?: number | undefined
}

const DELETES_AT_ONCE = 16
const PARALLEL_PARTS = 8
/** Azure sets no end; a caller that wants a longer one has mistaken the unit. */
const LONGEST_URL_S = 365 * 24 * 3600

/**
 * A container of Azure Blob Storage. Every blob is a block blob in the account's default tier: the
 * cooler ones charge for early deletion, which a registry does all the time.
 */
export class AzureBackend implements StorageBackend {
  readonly scheme = 'az'
  readonly bucket: string
  readonly guarantees: BackendGuarantees
  /** Only with an account key, which is what signs the URL. */
  readonly presignGet?: (key: string, options: PresignOptions) => Promise<URL>
  readonly #container: Container
  readonly #requests: Requests
  readonly #lanes: { readonly up: Lanes; readonly down: Lanes }
  readonly #pool: BufferPool
  readonly #partBytes: number

  constructor(bucket: string, account: AzureAccount, options: AzureBackendOptions = {}) {
    const { retry, partBytes = PART_BYTES, parallelParts = PARALLEL_PARTS } = options
    this.bucket = bucket
    this.#container = new Container(bucket, account)
    this.#requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...retry }, toFailure)
    const laneBytes = parallelParts * partBytes
    this.#lanes = { up: new Lanes(laneBytes), down: new Lanes(laneBytes) }
    this.#pool = new BufferPool(partBytes, parallelParts)
    this.#partBytes = partBytes
    const { canSign } = this.#container
    this.guarantees = { createOnly: true, compareAndSwap: true, deadlines: canSign }
    if (canSign) this.presignGet = this.#presignGet.bind(this)
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const client = this.#container.blob(key)
    const facts = await this.#requests
      .trySend(this.#about(key, signal), (attempt) =>
        client.getProperties({ abortSignal: attempt.signal }),
      )
      .catch(ignoreMissing)
    return facts && isWhole(facts) ? toObjectInfo(key, facts) : undefined
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    return openBlob(this.#requests, this.#container.blob(key), {
      ...this.#about(key, signal),
      key,
      range,
      parallel: { partBytes: this.#partBytes, lanes: this.#lanes.down },
    })
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    const { signal, condition } = options
    const write = {
      what: this.#name(key),
      body,
      condition,
      signal,
      check: (): void => {
        this.#assertPromised(options)
      },
      head: (): Promise<ObjectInfo | undefined> => this.head(key, { signal }),
    }
    return guardedWrite(write, async () => {
      return upload(this.#uploads(), key, body, options)
    })
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    options.signal?.throwIfAborted()
    this.#assertPromised(options)
    const failures: DeleteFailure[] = []
    await forEachConcurrent(
      keys,
      DELETES_AT_ONCE,
      async (key, signal) => {
        try {
          await this.#deleteBlob(key, { ...options, signal })
        } catch (error) {
          if (signal.aborted || !isS3loError(error)) throw error
          failures.push({ key, error })
        }
      },
      options.signal,
    )
    options.signal?.throwIfAborted()
    return inOrderOf(keys, failures)
  }

  async *list(
    prefix: string,
    { startAfter, signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo, void> {
    const settings = this.#about(prefix, signal)
    yield* listBlobs(this.#requests, this.#container.client, { ...settings, prefix, startAfter })
  }

  async *listPrefixes(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<string, void> {
    const settings = this.#about(prefix, signal)
    yield* listFolders(this.#requests, this.#container.client, { ...settings, prefix })
  }

  /**
   * Copies inside one storage account. Another account would have to be given access to the source,
   * so it is foreign.
   */
  async copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { signal }: CallOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof AzureBackend)) return undefined
    const [from, to] = [source.#container, this.#container]
    // A token of limited access opens only what it was made for, so the source needs one as well.
    if (from.accountUrl !== to.accountUrl || (to.access === 'sas') !== (from.access === 'sas')) {
      return undefined
    }
    const what = `${source.#name(sourceKey)} as ${this.#name(key)}`
    const [from2, target] = [from.blob(sourceKey), to.blob(key)]
    const facts = await copyBlob(this.#requests, target, from2.url, { what, signal })
    return toObjectInfo(key, facts)
  }

  /** Sets the metadata that the blob has: the one write that changes no byte and no tier. */
  async touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    const client = this.#container.blob(key)
    const settings = this.#about(key, signal)
    for (let failures = 1; ; failures += 1) {
      const before = await this.#requests.send(settings, (attempt) =>
        client.getProperties({ abortSignal: attempt.signal }),
      )
      if (!isWhole(before)) throw new S3loError('NOT_FOUND', `${this.#name(key)} does not exist`)
      const found = toObjectInfo(key, before)
      try {
        const conditions = { ifMatch: quoted(found.etag) }
        const { etag, lastModified } = await this.#requests.trySend(settings, (attempt) =>
          client.setMetadata(before.metadata ?? {}, { abortSignal: attempt.signal, conditions }),
        )
        return toObjectInfo(key, { ...before, ...given({ etag, lastModified }) })
      } catch (error) {
        // Another client wrote it meanwhile, or the answer to our own write was lost: look again.
        const isChanged =
          error instanceof RequestError && error.failure.reason === 'ConditionNotMet'
        if (!isChanged || failures >= this.#requests.policy.attempts) throw toThrown(error)
      }
    }
  }

  async *diagnose({ signal }: CallOptions = {}): AsyncGenerator<Finding, void> {
    yield* diagnoseContainer(this.#container, this.#requests, { signal })
  }

  async #presignGet(key: string, { expiresInSeconds, signal }: PresignOptions): Promise<URL> {
    signal?.throwIfAborted()
    if (!(expiresInSeconds > 0 && expiresInSeconds <= LONGEST_URL_S)) {
      throw new S3loError(
        'USAGE',
        `presigned URLs must be valid for 1 second to 7 days, not for ${expiresInSeconds} seconds`,
        {
          hint: 'the longest is a year: 31536000',
        },
      )
    }
    const expiresOn = new Date(Date.now() + expiresInSeconds * 1000)
    return new URL(this.#container.signedUrl(key, 'r', expiresOn))
  }

  async #deleteBlob(
    key: string,
    { notAfter, onUnanswered, signal }: DeadlineOptions,
  ): Promise<void> {
    const client = notAfter
      ? this.#container.signedBlob(key, 'd', notAfter)
      : this.#container.blob(key)
    let isUnsure = false
    const onRetry = (): void => {
      isUnsure = true
    }
    try {
      await this.#requests
        .trySend({ ...this.#about(key, signal), onRetry, onUnanswered }, (attempt) =>
          client.delete({ abortSignal: attempt.signal }),
        )
        .catch(ignoreMissingKeepingFailures)
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      // An earlier attempt may have done it, and only its answer was lost.
      if (isUnsure && (await this.head(key, { signal })) === undefined) return
      throw withDeadline(error.failure, notAfter, this.#name(key)).error
    }
  }

  #assertPromised({ notAfter }: DeadlineOptions): void {
    if (notAfter === undefined || this.guarantees.deadlines) return
    throw new S3loError(
      'UNSUPPORTED',
      `az://${this.bucket} has no deadlines without an account key`,
      {
        hint: 'set AZURE_STORAGE_KEY',
      },
    )
  }

  #uploads(): Parameters<typeof upload>[0] {
    return {
      container: this.#container,
      requests: this.#requests,
      lanes: this.#lanes.up,
      pool: this.#pool,
      partBytes: this.#partBytes,
    }
  }

  #about(key: string, signal: AbortSignal | undefined): CallSettings {
    return { what: this.#name(key), signal }
  }

  #name(key: string): string {
    return `az://${this.bucket}/${key}`
  }
}

function ignoreMissingKeepingFailures(error: unknown): void {
  if (error instanceof RequestError && error.failure.reason === 'BlobNotFound') return
  throw error
}

function inOrderOf(
  keys: readonly string[],
  failures: readonly DeleteFailure[],
): readonly DeleteFailure[] {
  if (failures.length < 2) return failures
  const places = new Map(keys.map((key, index) => [key, index]))
  return failures.toSorted((a, b) => (places.get(a.key) ?? 0) - (places.get(b.key) ?? 0))
}

function given(facts: BlobFacts): BlobFacts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}
