import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type {
  BackendCapability,
  BackendGuarantees,
  CopyOptions,
  DeadlineOptions,
  DeleteFailure,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  PresignOptions,
  PutOptions,
  StorageBackend,
} from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { ByteBudget } from '../concurrency/byte-budget.ts'
import { deleteObjects } from './delete-objects.ts'
import { guardedWrite } from './guarded-write.ts'
import { listFolders, listObjects } from './list-objects.ts'
import type { NetworkService, UnguardedPutOptions } from './network-service.ts'
import { openObject } from './open-object.ts'
import { BufferPool } from './parts.ts'
import { Proof } from './proof.ts'
import { RequestError, toThrown } from './requests.ts'
import { ServiceCalls } from './service-calls.ts'
import { writeObject } from './write-object.ts'

/** How a backend uses memory, where it differs from the service's own limits. */
export interface TransferOptions {
  /** Bytes of a part; what is not longer is sent in one request. */
  readonly partBytes?: number | undefined
  /** Upper bound on concurrent parts across all transfers in one direction; each always has one. */
  readonly parallelParts?: number | undefined
}

/** The optional methods that a backend has when its service has them. */
type Offered<S> = {
  [K in BackendCapability & keyof S]: undefined extends S[K] ? never : K
}[BackendCapability & keyof S]

/** A backend of a service, with the optional methods that the service is sure to have. */
export type NetworkBackend<S extends NetworkService = NetworkService> = StorageBackend & {
  readonly [K in Offered<S>]-?: NonNullable<StorageBackend[K]>
}

/**
 * A backend for one bucket of a service: attempts, parts and parallel bodies, lost answers looked up,
 * listings in order, deletions counted. The service says what its requests and answers are.
 */
export function networkBackend<S extends NetworkService>(
  service: S,
  options: TransferOptions = {},
): NetworkBackend<S> {
  return new ServiceBackend(service, options) as unknown as NetworkBackend<S>
}

class ServiceBackend implements StorageBackend {
  readonly scheme: string
  readonly bucket: string
  readonly skipsByReading: boolean
  readonly copyFrom?: NonNullable<StorageBackend['copyFrom']>
  readonly touch?: NonNullable<StorageBackend['touch']>
  readonly presignGet?: NonNullable<StorageBackend['presignGet']>
  readonly proveGuarantees?: NonNullable<StorageBackend['proveGuarantees']>
  readonly abandonedUploads?: NonNullable<StorageBackend['abandonedUploads']>
  readonly abortUpload?: NonNullable<StorageBackend['abortUpload']>
  readonly diagnose?: NonNullable<StorageBackend['diagnose']>
  readonly #service: NetworkService
  readonly #calls: ServiceCalls
  readonly #partBytes: number
  readonly #leastPartBytes: number
  readonly #budget: { readonly up: ByteBudget; readonly down: ByteBudget }
  readonly #pool: BufferPool
  #guarantees: BackendGuarantees

  constructor(service: NetworkService, { partBytes, parallelParts }: TransferOptions) {
    const { limits } = service
    const up = parallelParts ?? limits.partsUp
    const down = parallelParts ?? limits.partsDown
    this.scheme = service.scheme
    this.bucket = service.bucket
    this.skipsByReading = service.skipsByReading ?? false
    this.#service = service
    this.#calls = new ServiceCalls(service)
    this.#partBytes = partBytes ?? limits.partBytes
    this.#leastPartBytes = Math.min(this.#partBytes, limits.leastPartBytes ?? Infinity)
    this.#budget = {
      up: new ByteBudget(up * this.#partBytes),
      down: new ByteBudget(down * this.#partBytes),
    }
    this.#pool = new BufferPool(up * this.#partBytes)
    this.#guarantees = service.guarantees
    if (service.copyFrom) this.copyFrom = this.#copyFrom.bind(this)
    if (service.touch) this.touch = this.#touch.bind(this)
    if (service.presignGet) this.presignGet = this.#presignGet.bind(this)
    if (service.proveGuarantees) this.proveGuarantees = this.#proving()
    if (service.abandonedUploads) {
      this.abandonedUploads = ({ signal } = {}) =>
        thrown(service.abandonedUploads?.(this.#calls.about('', signal)))
    }
    if (service.abortUpload) {
      this.abortUpload = async (upload, { signal } = {}) =>
        this.#run(upload.key, signal, async (settings) => service.abortUpload?.(upload, settings))
    }
    if (service.diagnose) {
      this.diagnose = ({ signal } = {}) => thrown(service.diagnose?.(this.#calls.about('', signal)))
    }
  }

  get guarantees(): BackendGuarantees {
    return this.#guarantees
  }

  async head(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    return this.#run(key, signal, () => this.#calls.head(key, signal))
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<ObjectBody> {
    return this.#run(key, signal, async (settings) => {
      const { what } = settings
      return openObject({
        ...settings,
        range,
        requests: this.#service.requests,
        parallel: { partBytes: this.#partBytes, budget: this.#budget.down },
        open: (piece) =>
          this.#calls.trySend({ what, signal: piece.signal }, (attempt) =>
            this.#service.openPiece(key, piece, attempt),
          ),
        head: async () => {
          const info = await this.#calls.head(key, signal)
          if (info) return info
          throw new S3loError('NOT_FOUND', `${what} does not exist`)
        },
      })
    })
  }

  async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    const { signal, condition } = options
    const write = {
      what: this.#calls.nameOf(key),
      body,
      condition,
      signal,
      check: (): void => {
        this.#service.assertKey(key)
        this.#service.assertPut?.(options)
        this.#assertPromised(options)
      },
      head: () => this.head(key, { signal }),
    }
    return guardedWrite(write, () => this.#write(key, body, options))
  }

  async delete(
    keys: readonly string[],
    options: DeadlineOptions = {},
  ): Promise<readonly DeleteFailure[]> {
    options.signal?.throwIfAborted()
    this.#assertPromised(options)
    return deleteObjects(this.#calls, keys, options)
  }

  list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo, void> {
    return listObjects(this.#calls, { ...options, prefix })
  }

  listPrefixes(prefix: string, options: CallOptions = {}): AsyncGenerator<string, void> {
    return listFolders(this.#calls, { ...options, prefix })
  }

  async close(): Promise<void> {
    this.#service.close?.()
  }

  /** Both ends have to be backends of this module; whether the service can do it, it says itself. */
  async #copyFrom(
    source: StorageBackend,
    sourceKey: string,
    key: string,
    { sourceEtag, signal }: CopyOptions = {},
  ): Promise<ObjectInfo | undefined> {
    signal?.throwIfAborted()
    if (!(source instanceof ServiceBackend) || source.scheme !== this.scheme) return undefined
    const from = source.#service
    return this.#run(key, signal, (settings) => {
      from.assertKey(sourceKey)
      const what = `${source.#calls.nameOf(sourceKey)} as ${settings.what}`
      const named = { ...settings, what, sourceEtag }
      return source.#calls.checked(named, async () =>
        this.#service.copyFrom?.(from, sourceKey, key, named),
      )
    })
  }

  async #touch(key: string, { signal }: CallOptions = {}): Promise<ObjectInfo> {
    return this.#run(key, signal, async (settings) => {
      const info = await this.#service.touch?.(key, settings)
      if (info) return info
      throw new S3loError('UNSUPPORTED', `${settings.what} cannot be renewed`)
    })
  }

  async #presignGet(key: string, { expiresInSeconds, signal }: PresignOptions): Promise<URL> {
    const longest = this.#service.limits.presignSeconds ?? Infinity
    return this.#run(key, signal, async (settings) => {
      if (!(expiresInSeconds >= 1 && expiresInSeconds <= longest)) {
        const message = `a presigned URL is valid for 1 to ${longest} seconds, not ${expiresInSeconds}`
        throw new S3loError('USAGE', message)
      }
      try {
        const url = await this.#service.presignGet?.(key, expiresInSeconds, settings)
        return new URL(url ?? '')
      } catch (error) {
        if (error instanceof RequestError) throw error
        signal?.throwIfAborted()
        throw this.#service.requests.toFailure(error, settings.what).error
      }
    })
  }

  #proving(): NonNullable<StorageBackend['proveGuarantees']> {
    const store = {
      put: (key: string, body: Uint8Array, options: UnguardedPutOptions = {}) =>
        this.#write(key, body, options),
      delete: (keys: readonly string[], options: DeadlineOptions = {}) =>
        deleteObjects(this.#calls, keys, options),
    }
    const proof = new Proof(async (signal) => this.#service.proveGuarantees?.(store, { signal }))
    return async ({ signal } = {}) => {
      this.#guarantees = (await proof.outcome(signal)) ?? this.#guarantees
      return this.#guarantees
    }
  }

  #write(
    key: string,
    body: Uint8Array | Readable,
    options: UnguardedPutOptions,
  ): Promise<ObjectInfo> {
    const context = {
      calls: this.#calls,
      partBytes: this.#partBytes,
      leastPartBytes: this.#leastPartBytes,
      budget: this.#budget.up,
      pool: this.#pool,
    }
    return writeObject(context, key, body, options)
  }

  /** Runs work about one object, and throws what callers of a backend get. */
  async #run<T>(
    key: string,
    signal: AbortSignal | undefined,
    work: (settings: ReturnType<ServiceCalls['about']>) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    this.#service.assertKey(key)
    const settings = this.#calls.about(key, signal)
    try {
      return await this.#calls.checked(settings, () => work(settings))
    } catch (error) {
      throw toThrown(error)
    }
  }

  #assertPromised({ condition, notAfter }: PutOptions): void {
    const { createOnly, compareAndSwap, deadlines } = this.#guarantees
    const lacks =
      (condition?.kind === 'absent' && !createOnly) ||
      (condition?.kind === 'unchanged' && !compareAndSwap)
        ? 'conditions on writes'
        : notAfter !== undefined && !deadlines
          ? 'deadlines of requests'
          : undefined
    if (lacks === undefined) return
    const { guaranteeHint: hint } = this.#service
    const message = `${this.#calls.nameOf('')} is not known to enforce ${lacks}`
    throw new S3loError('UNSUPPORTED', message, hint === undefined ? {} : { hint })
  }
}

async function* thrown<T>(items: AsyncIterable<T> | undefined): AsyncGenerator<T, void> {
  try {
    if (items) yield* items
  } catch (error) {
    throw toThrown(error)
  }
}
