import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import {
  type DeadlineOptions,
  type DeleteFailure,
  forEachConcurrent,
  isS3loError,
  S3loError,
} from '@s3lo/core/plugin'
import { type Failure, RequestError, toThrown, withDeadline } from '@s3lo/core/transfer'
import { toKeyFailure } from './errors.ts'
import { addMd5 } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** The most keys that one request deletes. */
const BATCH_KEYS = 1000
const BATCHES_AT_ONCE = 4
const SINGLE_DELETES_AT_ONCE = 16

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
  let keys = batch
  for (let attempts = 1; keys.length > 0; attempts += 1) {
    try {
      const { Errors = [] } = await service.trySend(
        { what, signal, onUnanswered },
        (client, attempt) =>
          client.send(deletion(service, keys, notAfter), { abortSignal: attempt.signal }),
      )
      const refused = Errors.filter(({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion')
      const again = new Map<string, Failure>()
      for (const { Key: key, Code } of refused) {
        if (key === undefined) throw new S3loError('UNAVAILABLE', `${what}: an error has no key`)
        const failure = toKeyFailure(Code, service.nameOf(key))
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
      return []
    }
  }
  return []
}

function deletion(
  service: S3Service,
  keys: readonly string[],
  notAfter: Date | undefined,
): DeleteObjectsCommand {
  const command = new DeleteObjectsCommand({
    Bucket: service.bucket,
    Delete: { Quiet: true, Objects: keys.map((Key) => ({ Key })) },
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
    await service.trySend({ what, signal, onUnanswered }, (client, attempt) =>
      client.send(service.until(new DeleteObjectCommand(input), notAfter), {
        abortSignal: attempt.signal,
      }),
    )
    return undefined
  } catch (error) {
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
