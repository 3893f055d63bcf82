import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import {
  type AbandonedUpload,
  type BackendGuarantees,
  type CopyOptions,
  type DeadlineOptions,
  type DeleteFailure,
  type Finding,
  type GetOptions,
  type ListOptions,
  type MoveOptions,
  type ObjectBody,
  type ObjectInfo,
  type PresignOptions,
  type PutOptions,
  type StorageBackend,
  supports,
} from '../contract/storage-backend.ts'

/** The name of a method of `StorageBackend`. */
export type StorageMethod = Exclude<
  keyof StorageBackend,
  'scheme' | 'bucket' | 'guarantees' | 'skipsByReading'
>

/** One storage call, as a {@link Fault} sees it. */
export interface StorageCall {
  readonly method: StorageMethod
  /** The key; a listing's prefix; the first key of a delete; the destination of a copy or move. */
  readonly key: string
  /** Every key of a delete; otherwise only `key`. */
  readonly keys: readonly string[]
  /** This call's number, from 1, among all calls of this backend. */
  readonly count: number
  readonly signal: AbortSignal | undefined
}

/** Runs around a storage call: throw to fail it, wait to stall it, return to let it continue. */
export type Fault = (call: StorageCall) => void | Promise<void>

/** When a {@link FaultyBackend} interferes. */
export interface Faults {
  /** Before the store is asked: what is thrown here never reached it. */
  readonly before?: Fault | undefined
  /** After the store has done it: what is thrown here is an answer that was lost. */
  readonly after?: Fault | undefined
}

/**
 * Any backend with faults: records every call and runs {@link Faults} around it. A listing is one
 * call, made when its iteration starts. It has the optional methods that the inner backend has.
 */
export class FaultyBackend implements StorageBackend {
  readonly scheme: string
  readonly bucket: string
  readonly skipsByReading: boolean
  /** Every call so far, in order. */
  readonly calls: StorageCall[] = []
  /** Replace it at any time; the count continues. */
  faults: Faults
  readonly proveGuarantees?: NonNullable<StorageBackend['proveGuarantees']>
  readonly copyFrom?: NonNullable<StorageBackend['copyFrom']>
  readonly move?: NonNullable<StorageBackend['move']>
  readonly touch?: NonNullable<StorageBackend['touch']>
  readonly presignGet?: NonNullable<StorageBackend['presignGet']>
  readonly now?: NonNullable<StorageBackend['now']>
  readonly abandonedUploads?: NonNullable<StorageBackend['abandonedUploads']>
  readonly abortUpload?: NonNullable<StorageBackend['abortUpload']>
  readonly diagnose?: NonNullable<StorageBackend['diagnose']>
  readonly #inner: StorageBackend

  constructor(inner: StorageBackend, faults: Faults = {}) {
    this.scheme = inner.scheme
    this.bucket = inner.bucket
    this.skipsByReading = inner.skipsByReading ?? false
    this.faults = faults
    this.#inner = inner
    if (supports(inner, 'proveGuarantees')) {
      this.proveGuarantees = (options?: CallOptions): Promise<BackendGuarantees> =>
        this.#call('proveGuarantees', [''], options, () => inner.proveGuarantees(options))
    }
    if (supports(inner, 'now')) {
      this.now = (options?: CallOptions): Promise<Date | undefined> =>
        this.#call('now', [''], options, () => inner.now(options))
    }
    if (supports(inner, 'copyFrom')) {
      this.copyFrom = (
        source: StorageBackend,
        sourceKey: string,
        key: string,
        options?: CopyOptions,
      ): Promise<ObjectInfo | undefined> =>
        this.#call('copyFrom', [key], options, () =>
          inner.copyFrom(FaultyBackend.#innermost(source), sourceKey, key, options),
        )
    }
    if (supports(inner, 'move')) {
      this.move = (
        sourceKey: string,
        key: string,
        options?: MoveOptions,
      ): Promise<ObjectInfo | undefined> =>
        this.#call('move', [key], options, () => inner.move(sourceKey, key, options))
    }
    if (supports(inner, 'touch')) {
      this.touch = (key: string, options?: CallOptions): Promise<ObjectInfo> =>
        this.#call('touch', [key], options, () => inner.touch(key, options))
    }
    if (supports(inner, 'presignGet')) {
      this.presignGet = (key: string, options: PresignOptions): Promise<URL> =>
        this.#call('presignGet', [key], options, () => inner.presignGet(key, options))
    }
    if (supports(inner, 'abandonedUploads')) {
      this.abandonedUploads = (options?: CallOptions): AsyncIterable<AbandonedUpload> =>
        this.#iterate('abandonedUploads', '', options, () => inner.abandonedUploads(options))
    }
    if (supports(inner, 'abortUpload')) {
      this.abortUpload = (upload: AbandonedUpload, options?: CallOptions): Promise<void> =>
        this.#call('abortUpload', [upload.key], options, () => inner.abortUpload(upload, options))
    }
    if (supports(inner, 'diagnose')) {
      this.diagnose = (options?: CallOptions): AsyncIterable<Finding> =>
        this.#iterate('diagnose', '', options, () => inner.diagnose(options))
    }
  }

  get guarantees(): BackendGuarantees {
    return this.#inner.guarantees
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined> {
    return this.#call('head', [key], options, () => this.#inner.head(key, options))
  }

  get(key: string, options?: GetOptions): Promise<ObjectBody> {
    return this.#call('get', [key], options, () => this.#inner.get(key, options))
  }

  async put(key: string, body: Uint8Array | Readable, options?: PutOptions): Promise<ObjectInfo> {
    try {
      return await this.#call('put', [key], options, () => this.#inner.put(key, body, options))
    } finally {
      if (!(body instanceof Uint8Array)) body.destroy()
    }
  }

  delete(keys: readonly string[], options?: DeadlineOptions): Promise<readonly DeleteFailure[]> {
    return this.#call('delete', keys, options, () => this.#inner.delete(keys, options))
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    return this.#iterate('list', prefix, options, () => this.#inner.list(prefix, options))
  }

  listPrefixes(prefix: string, options?: CallOptions): AsyncIterable<string> {
    return this.#iterate('listPrefixes', prefix, options, () =>
      this.#inner.listPrefixes(prefix, options),
    )
  }

  async close(): Promise<void> {
    await this.#inner.close?.()
  }

  async #call<T>(
    method: StorageMethod,
    keys: readonly string[],
    options: CallOptions | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    const call = this.#record(method, keys, options)
    await this.faults.before?.(call)
    const result = await run()
    await this.faults.after?.(call)
    return result
  }

  async *#iterate<T>(
    method: StorageMethod,
    prefix: string,
    options: CallOptions | undefined,
    run: () => AsyncIterable<T>,
  ): AsyncGenerator<T, void> {
    const call = this.#record(method, [prefix], options)
    await this.faults.before?.(call)
    yield* run()
    await this.faults.after?.(call)
  }

  #record(
    method: StorageMethod,
    keys: readonly string[],
    options: CallOptions | undefined,
  ): StorageCall {
    const count = this.calls.length + 1
    const call = { method, key: keys[0] ?? '', keys, count, signal: options?.signal }
    this.calls.push(call)
    return call
  }

  /** A store may copy only from its own kind, so it must see the store and not the wrapper. */
  static #innermost(source: StorageBackend): StorageBackend {
    return source instanceof FaultyBackend ? FaultyBackend.#innermost(source.#inner) : source
  }
}

/** Fails call number `count` (of those that `matches` selects, where given) with `error`. */
export function throwAt(
  count: number,
  error: unknown,
  matches: (call: StorageCall) => boolean = () => true,
): Fault {
  let seen = 0
  return (call) => {
    if (!matches(call)) return
    seen += 1
    if (seen === count) throw error
  }
}

/** A process that dies: see {@link dieAt}. */
export interface Death {
  readonly faults: Faults
  /** Resolves with the fatal call, so that a test can stop waiting for the operation. */
  readonly died: Promise<StorageCall>
}

/**
 * A process that dies at call number `count` (of those that `matches` selects, where given): no call
 * is answered from then on, not even when its signal is aborted, and none that starts later reaches the
 * store. The fatal request itself is not sent (`before`) or takes effect (`after`).
 */
export function dieAt(
  count: number,
  when: 'before' | 'after' = 'before',
  matches: (call: StorageCall) => boolean = () => true,
): Death {
  const { promise: died, resolve } = Promise.withResolvers<StorageCall>()
  let seen = 0
  let fatal: StorageCall | undefined
  let dead = false
  const die = (call: StorageCall): Promise<never> => {
    dead = true
    resolve(call)
    return new Promise(() => {})
  }
  const before: Fault = (call) => {
    if (matches(call)) seen += 1
    if (fatal === undefined && seen === count) fatal = call
    return dead || (call === fatal && when === 'before') ? die(call) : undefined
  }
  const after: Fault = (call) => (dead || call === fatal ? die(call) : undefined)
  return { faults: { before, after }, died }
}

/** Stalls call number `count` until its signal aborts, then fails it with the signal's reason. */
export function stallAt(count: number): Fault {
  let seen = 0
  return (call) => {
    seen += 1
    return seen === count ? untilAborted(call.signal) : undefined
  }
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = (): void => reject(signal?.reason)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
