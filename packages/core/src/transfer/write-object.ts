import { randomUUID } from 'node:crypto'
import type { ObjectInfo } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import type { ByteBudget } from '../concurrency/byte-budget.ts'
import { withDeadline } from './failure.ts'
import type {
  Body,
  ObjectWrite,
  PartsEnd,
  PartsUpload,
  UnguardedPutOptions,
  WriteAnswer,
} from './network-service.ts'
import { type BufferPool, type Part, readParts } from './parts.ts'
import { type Attempt, type CallSettings, RequestError, toThrown } from './requests.ts'
import { type PlacedPart, sendParts, type SendPartsOptions } from './send-parts.ts'
import type { ServiceCalls } from './service-calls.ts'

/** What remains of an upload is removed in this time, or left to the bucket's own rules. */
const CLEANUP_MS = 5000

/** What all writes of a backend share. */
export interface WriteContext {
  readonly calls: ServiceCalls
  readonly partBytes: number
  readonly leastPartBytes: number
  readonly budget: ByteBudget
  readonly pool: BufferPool
}

/**
 * Writes an object whole or not at all, in one request or in parts. Does not destroy the body, and
 * does not look at what the service guarantees.
 */
export async function writeObject(
  context: WriteContext,
  key: string,
  body: Body,
  options: UnguardedPutOptions,
): Promise<ObjectInfo> {
  const { calls, partBytes } = context
  const { limits } = calls.service
  const isGiven = body instanceof Uint8Array
  const parts = readParts(body, {
    ...context,
    what: calls.nameOf(key),
    size: options.size,
    mostParts: limits.mostParts,
  })
  const first = await parts.next()
  if (first.done) throw new S3loError('INTERNAL', 'a body has no last part')
  const { bytes, isLast, share } = first.value
  // A deadline is judged when a request begins, so what is sent with one must not take long.
  const isTooLong =
    options.notAfter !== undefined && bytes.byteLength > (limits.timedBytes ?? partBytes)
  const isWhole = isLast && !isTooLong && !options.inParts
  const writer = new Writer(calls, key, options, isWhole)
  const stopReading = (error: Error): void => {
    if (!isGiven) body.destroy(error)
  }
  try {
    return await (isWhole
      ? writer.whole(bytes)
      : writer.inParts(first.value, parts, {
          budget: context.budget,
          pool: isGiven ? undefined : context.pool,
          stopReading,
        }))
  } catch (error) {
    throw toThrown(error)
  } finally {
    share?.giveBack()
  }
}

type BeginParts<U = PartsUpload> = (write: ObjectWrite, attempt: Attempt) => Promise<U>

/** Sends all parts; an upload whose last part makes the object has the answer already. */
type SendAll<U> = (
  upload: U,
) => Promise<{ readonly end: PartsEnd; readonly answer?: WriteAnswer | undefined }>

/**
 * Makes an object of parts that `sendAll` sends, as a copy inside the service does. A lost answer is
 * looked up; an upload that fails is aborted.
 */
export async function assembleObject<U extends PartsUpload>(
  calls: ServiceCalls,
  { key, signal }: { readonly key: string; readonly signal?: AbortSignal | undefined },
  begin: BeginParts<U>,
  sendAll: SendAll<U>,
): Promise<ObjectInfo> {
  try {
    return await new Writer(calls, key, { signal }, false).assemble(begin, sendAll)
  } catch (error) {
    throw toThrown(error)
  }
}

/** One write of one object. */
class Writer {
  readonly #calls: ServiceCalls
  readonly #options: UnguardedPutOptions
  readonly #write: ObjectWrite

  constructor(calls: ServiceCalls, key: string, options: UnguardedPutOptions, isWhole: boolean) {
    this.#calls = calls
    this.#options = options
    const { condition, digest, mediaType, notAfter, storageClass, hold } = options
    // Without conditions another attempt writes the same again, so they need not be told apart.
    const isMarked =
      !isWhole ||
      condition !== undefined ||
      notAfter !== undefined ||
      calls.service.marksEveryWrite === true
    const mark = isMarked ? randomUUID() : undefined
    const what = calls.nameOf(key)
    const facts = { digest, mediaType, storageClass }
    this.#write = { key, what, mark, condition, notAfter, hold, ...facts }
  }

  /** Sends the object in one request. */
  async whole(bytes: Uint8Array): Promise<ObjectInfo> {
    const { service } = this.#calls
    const answer = await this.#commit((settings) =>
      this.#calls.trySend(settings, (attempt) => service.putWhole(this.#write, bytes, attempt)),
    )
    return this.#infoOf(answer, bytes.byteLength)
  }

  /** Sends the object in parts, and makes it appear when all of them are there. */
  async inParts(
    first: Part,
    others: AsyncIterable<Part>,
    { budget, pool, stopReading }: Pick<SendPartsOptions, 'budget' | 'pool' | 'stopReading'>,
  ): Promise<ObjectInfo> {
    const { service } = this.#calls
    const begin: BeginParts = (write, attempt) => service.beginParts(write, attempt)
    return this.assemble(begin, async (upload) => {
      const sent = { answer: undefined as WriteAnswer | undefined }
      const send = async (part: PlacedPart, signal: AbortSignal): Promise<void> => {
        const { bytes, index, end, isLast } = part
        if (upload.inOrder && isLast) {
          sent.answer = await this.#complete(upload, { count: index + 1, size: end, last: bytes })
          return
        }
        const settings = { ...this.#settings, signal }
        await this.#calls.trySend(settings, (attempt) => upload.send({ bytes, index }, attempt))
      }
      const { inOrder } = upload
      const { signal } = this.#options
      const options = { send, inOrder, stopReading, budget, pool, signal }
      const end = await sendParts(first, others, options)
      return { end, answer: sent.answer }
    })
  }

  /** Begins an upload, lets `sendAll` send its parts, and makes the object of them. */
  async assemble<U extends PartsUpload>(
    begin: BeginParts<U>,
    sendAll: SendAll<U>,
  ): Promise<ObjectInfo> {
    const upload = await this.#calls.trySend(this.#settings, (attempt) =>
      begin(this.#write, attempt),
    )
    try {
      const { end, answer } = await sendAll(upload)
      return await this.#infoOf(answer ?? (await this.#complete(upload, end)), end.size)
    } catch (error) {
      await this.#abort(upload)
      throw error
    }
  }

  async #complete(upload: PartsUpload, end: PartsEnd): Promise<WriteAnswer> {
    return this.#commit((settings) =>
      this.#calls.trySend(settings, (attempt) => upload.complete(end, attempt)),
    )
  }

  /**
   * Sends the request that makes the object appear. After an attempt whose answer was lost, a
   * refusal of the next one may come from the caller's own object, so that is looked for.
   */
  async #commit(send: (settings: CallSettings) => Promise<WriteAnswer>): Promise<WriteAnswer> {
    const { notAfter, onUnanswered, condition } = this.#options
    let mayHaveLanded = false
    const onRetry = (): void => {
      mayHaveLanded = true
    }
    try {
      return await send({ ...this.#settings, onRetry, onUnanswered })
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const own = mayHaveLanded ? await this.#findOwn() : undefined
      if (own) return own
      // An object that must be unchanged has to be there.
      if (condition?.kind === 'unchanged' && this.#calls.isMissing(error)) {
        throw new S3loError('CONFLICT', `${this.#write.what} was deleted by another client`)
      }
      throw new RequestError(withDeadline(error.failure, notAfter, this.#write.what))
    }
  }

  /** The object, where it is the one that this write has made. */
  async #findOwn(): Promise<ObjectInfo | undefined> {
    const { key, mark } = this.#write
    if (mark === undefined) return undefined
    const found = await this.#calls.find(key, this.#settings)
    return found?.mark === mark ? found.info : undefined
  }

  /** Some services leave a fact out of the answer to a write, and so does a proxy's own answer. */
  async #infoOf(answer: WriteAnswer, size: number): Promise<ObjectInfo> {
    const { key, what } = this.#write
    const { etag, storageClass } = answer
    let { lastModified } = answer
    if (!etag) {
      const own = await this.#findOwn()
      if (own) return { ...own, size }
    } else {
      lastModified ??= (await this.#calls.find(key, this.#settings))?.info.lastModified
      if (lastModified) {
        return {
          key,
          size,
          etag,
          lastModified,
          ...(storageClass !== undefined && { storageClass }),
        }
      }
    }
    throw new S3loError('UNAVAILABLE', `${what} is not there after it was written`, {
      hint: 'check the endpoint, and that no proxy or login page answers for it',
    })
  }

  /** Parts that never become an object would cost money. Not bound to the caller's signal. */
  async #abort(upload: PartsUpload): Promise<void> {
    const settings = { what: this.#write.what, signal: AbortSignal.timeout(CLEANUP_MS) }
    try {
      await this.#calls.service.requests.trySend(settings, async (attempt) => {
        await upload.abort?.(attempt)
      })
    } catch {
      // What failed before says more; `doctor` finds what is left behind.
    }
  }

  get #settings(): CallSettings {
    return { what: this.#write.what, signal: this.#options.signal }
  }
}
