import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  type DeleteObjectsCommandOutput,
} from '@aws-sdk/client-s3'
import {
  type DeadlineOptions,
  type DeleteFailure,
  forEachConcurrent,
  isS3loError,
  S3loError,
} from '@s3lo/core/plugin'
import { type Failure, RequestError, toThrown, withDeadline } from '@s3lo/core/transfer'
import { toKeyFailure } from './errors.ts'
import { look } from './look.ts'
import { addMd5 } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** The most keys that one request deletes. */
const BATCH_KEYS = 1000
const BATCHES_AT_ONCE = 4
const SINGLE_DELETES_AT_ONCE = 16
/** How a service answers that it has deleted an object. Any other answer may be a proxy's. */
const NO_CONTENT = 204

/** Deletes objects in batches. Returns the keys that stayed, each with its error, in the order given. */
export async function deleteObjects(
  service: S3Service,
  keys: readonly string[],
  options: DeadlineOptions,
): Promise<readonly DeleteFailure[]> {
  const failures = new Map<string, S3loError>()
  const inBatches = keys.filter(canBeInXml)
  const singles = keys.filter((key) => !canBeInXml(key))
  await forEachConcurrent(
    batchesOf(inBatches),
    BATCHES_AT_ONCE,
    async (batch, signal) => {
      const left = await deleteBatch(service, batch, { ...options, signal }, failures)
      singles.push(...left)
    },
    options.signal,
  )
  await forEachConcurrent(
    singles,
    SINGLE_DELETES_AT_ONCE,
    async (key, signal) => {
      const error = await deleteOne(service, key, { ...options, signal })
      if (error) failures.set(key, error)
    },
    options.signal,
  )
  options.signal?.throwIfAborted()
  return keys.flatMap((key) => {
    const error = failures.get(key)
    return error ? [{ key, error }] : []
  })
}

/** Deletes a batch, again and again where the service was busy. Returns what has to go one by one. */
async function deleteBatch(
  service: S3Service,
  batch: readonly string[],
  { notAfter, onUnanswered, signal }: DeadlineOptions,
  failures: Map<string, S3loError>,
): Promise<readonly string[]> {
  const { requests, bucket } = service
  const what = batch.length === 1 ? service.nameOf(batch[0] ?? '') : `s3://${bucket}`
  const unmentioned: string[] = []
  let keys = batch
  for (let attempts = 1; keys.length > 0; attempts += 1) {
    try {
      const answer = await service.trySend({ what, signal, onUnanswered }, (client, attempt) =>
        client.send(deletion(service, keys, notAfter), { abortSignal: attempt.signal }),
      )
      const outcome = outcomeOf(service, keys, answer)
      unmentioned.push(...outcome.unmentioned)
      const again = new Map<string, Failure>()
      for (const [key, failure] of outcome.failures) {
        if (failure.retryable && attempts < requests.policy.attempts) again.set(key, failure)
        else if (isS3loError(failure.error)) failures.set(key, failure.error)
      }
      const [first] = again.values()
      if (first) await requests.wait(attempts, first, signal)
      keys = [...again.keys()]
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      // Some services know only the deletion of one object.
      if (error.failure.status === 501 || error.failure.status === 405) return keys
      const { error: thrown } = withDeadline(error.failure, notAfter, what)
      if (!isS3loError(thrown)) throw thrown
      for (const key of keys) failures.set(key, thrown)
      return unmentioned
    }
  }
  return unmentioned
}

interface BatchOutcome {
  readonly failures: ReadonlyMap<string, Failure>
  /** Keys of which the answer says neither that they are deleted nor why not. */
  readonly unmentioned: readonly string[]
}

function outcomeOf(
  service: S3Service,
  keys: readonly string[],
  { Deleted = [], Errors = [] }: DeleteObjectsCommandOutput,
): BatchOutcome {
  const deleted = new Set(Deleted.map(({ Key }) => Key))
  const failures = new Map<string, Failure>()
  for (const { Key: key, Code } of Errors) {
    if (key === undefined) continue
    if (Code === 'NoSuchKey' || Code === 'NoSuchVersion') deleted.add(key)
    else failures.set(key, toKeyFailure(Code, service.nameOf(key)))
  }
  const unmentioned = keys.filter((key) => !deleted.has(key) && !failures.has(key))
  return { failures, unmentioned }
}

function deletion(
  service: S3Service,
  keys: readonly string[],
  notAfter: Date | undefined,
): DeleteObjectsCommand {
  const command = new DeleteObjectsCommand({
    Bucket: service.bucket,
    // A quiet answer would not tell a key that was deleted from one that was left out.
    Delete: { Objects: keys.map((Key) => ({ Key })) },
  })
  if (!service.endpoint.isAws) addMd5(command)
  return service.until(command, notAfter)
}

async function deleteOne(
  service: S3Service,
  key: string,
  { notAfter, onUnanswered, signal }: DeadlineOptions,
): Promise<S3loError | undefined> {
  const what = service.nameOf(key)
  const input = { Bucket: service.bucket, Key: key }
  try {
    const { $metadata: answer } = await service.trySend(
      { what, signal, onUnanswered },
      (client, attempt) =>
        client.send(service.until(new DeleteObjectCommand(input), notAfter), {
          abortSignal: attempt.signal,
        }),
    )
    if (answer.httpStatusCode === NO_CONTENT || !(await look(service, key, { signal }))) {
      return undefined
    }
    return new S3loError('UNAVAILABLE', `${what} is still there after it was deleted`, {
      hint: 'check the endpoint',
    })
  } catch (error) {
    signal?.throwIfAborted()
    if (isS3loError(error)) return error
    if (!(error instanceof RequestError)) throw error
    if (error.failure.reason === 'NoSuchKey') return undefined
    const { error: thrown } = withDeadline(error.failure, notAfter, what)
    if (isS3loError(thrown)) return thrown
    throw toThrown(error)
  }
}

function* batchesOf(keys: readonly string[]): Generator<readonly string[], void> {
  for (let start = 0; start < keys.length; start += BATCH_KEYS) {
    yield keys.slice(start, start + BATCH_KEYS)
  }
}

/** XML 1.0 has no way to write most control characters. */
function canBeInXml(key: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return !/[\u0000-\u001f\ufffe\uffff]/.test(key)
}
