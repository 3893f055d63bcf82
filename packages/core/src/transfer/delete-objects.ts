import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { DeadlineOptions, DeleteFailure } from '../contract/storage-backend.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import { ForeignAnswerError } from './answer.ts'
import { type Failure, withDeadline } from './failure.ts'
import type { BatchDeletes } from './network-service.ts'
import { RequestError, toThrown } from './requests.ts'
import type { ServiceCalls } from './service-calls.ts'

const BATCHES_AT_ONCE = 4
const SINGLES_AT_ONCE = 16

/** Deletes objects. Returns the keys that stayed, each with its error, in the order given. */
export async function deleteObjects(
  calls: ServiceCalls,
  keys: readonly string[],
  options: DeadlineOptions,
): Promise<readonly DeleteFailure[]> {
  const { batches } = calls.service
  const unique = [...new Set(keys)]
  const failures = new Map<string, S3loError>()
  const singles = unique.filter((key) => !batches?.takes(key))
  if (batches) {
    const inBatches = unique.filter((key) => batches.takes(key))
    await forEachConcurrent(
      slicesOf(inBatches, batches.most),
      BATCHES_AT_ONCE,
      async (slice, signal) => {
        const deletion = new BatchDeletion(calls, batches, { ...options, signal }, failures)
        singles.push(...(await deletion.run(slice)))
      },
      options.signal,
    )
  }
  await forEachConcurrent(
    singles,
    SINGLES_AT_ONCE,
    async (key, signal) => {
      try {
        await deleteOne(calls, key, { ...options, signal })
      } catch (error) {
        const thrown = toThrown(error)
        if (signal.aborted || !isS3loError(thrown)) throw thrown
        failures.set(key, thrown)
      }
    },
    options.signal,
  )
  options.signal?.throwIfAborted()
  return unique.flatMap((key) => {
    const error = failures.get(key)
    return error ? [{ key, error }] : []
  })
}

async function deleteOne(
  calls: ServiceCalls,
  key: string,
  { notAfter, onUnanswered, signal }: DeadlineOptions,
): Promise<void> {
  calls.service.assertKey(key)
  const settings = calls.about(key, signal)
  let mayHaveLanded = false
  const onRetry = (): void => {
    mayHaveLanded = true
  }
  const { service } = calls
  try {
    await calls.trySend({ ...settings, onRetry, onUnanswered }, async (attempt) => {
      if (await service.deleteOne(key, { notAfter }, attempt)) return
      // Not the service's own answer: only that the object is missing says that it was deleted.
      if ((await service.find(key, attempt)) === undefined) return
      throw new ForeignAnswerError('expected a deletion, got one after which the object is there')
    })
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    if (calls.isMissing(error)) return
    // An earlier attempt may have done it, and only its answer was lost.
    if (mayHaveLanded && (await calls.find(key, settings)) === undefined) return
    throw withDeadline(error.failure, notAfter, settings.what).error
  }
}

/** Deletes one batch, again and again where the service was busy with some of its keys. */
class BatchDeletion {
  readonly #calls: ServiceCalls
  readonly #batches: BatchDeletes
  readonly #options: DeadlineOptions
  readonly #failures: Map<string, S3loError>

  constructor(
    calls: ServiceCalls,
    batches: BatchDeletes,
    options: DeadlineOptions,
    failures: Map<string, S3loError>,
  ) {
    this.#calls = calls
    this.#batches = batches
    this.#options = options
    this.#failures = failures
  }

  /** Returns what has to go one by one. */
  async run(batch: readonly string[]): Promise<readonly string[]> {
    const { requests } = this.#calls.service
    const unmentioned: string[] = []
    let keys = batch
    for (let attempts = 1; keys.length > 0; attempts += 1) {
      const again = new Map<string, Failure>()
      try {
        const { deleted, failures } = await this.#send(keys)
        unmentioned.push(...keys.filter((key) => !deleted.has(key) && !failures.has(key)))
        for (const [key, failure] of failures) {
          if (failure.retryable && attempts < requests.policy.attempts) again.set(key, failure)
          else this.#fail(key, failure)
        }
      } catch (error) {
        if (!(error instanceof RequestError)) throw error
        // Some services know only the deletion of one object.
        if (error.failure.status === 501 || error.failure.status === 405) return keys
        for (const key of keys) this.#fail(key, error.failure)
        return unmentioned
      }
      const [first] = again.values()
      if (first) await requests.wait(attempts, first, this.#options.signal)
      keys = [...again.keys()]
    }
    return unmentioned
  }

  #send(keys: readonly string[]): ReturnType<BatchDeletes['delete']> {
    const { notAfter, onUnanswered, signal } = this.#options
    const what = this.#nameOf(keys)
    return this.#calls.trySend({ what, signal, onUnanswered }, (attempt) =>
      this.#batches.delete(keys, { notAfter }, attempt),
    )
  }

  #nameOf(keys: readonly string[]): string {
    return this.#calls.nameOf(keys.length === 1 ? (keys[0] ?? '') : '')
  }

  #fail(key: string, failure: Failure): void {
    const { notAfter } = this.#options
    const { error } = withDeadline(failure, notAfter, this.#calls.nameOf(key))
    if (!isS3loError(error)) throw error
    this.#failures.set(key, error)
  }
}

function* slicesOf(keys: readonly string[], most: number): Generator<readonly string[], void> {
  for (let start = 0; start < keys.length; start += most) yield keys.slice(start, start + most)
}
