import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import type { DeleteObjectsCommandOutput } from '@aws-sdk/client-s3'
import type { Attempt, BatchAnswer, Failure } from '@s3lo/core/transfer'
import { toKeyFailure } from './errors.ts'
import { addMd5 } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** How a service answers that it has deleted an object. Any other answer may be a proxy's. */
const NO_CONTENT = 204

interface DeleteSettings {
  readonly notAfter?: Date | undefined
}

/** True where the answer proves that the object is gone. */
export async function deleteObject(
  service: S3Service,
  key: string,
  { notAfter }: DeleteSettings,
  { signal }: Attempt,
): Promise<boolean> {
  const sdk = await service.sdk()
  const command = new DeleteObjectCommand({ Bucket: service.bucket, Key: key })
  const timed = sdk.until(command, notAfter)
  const { $metadata: answer } = await sdk.client.send(timed, { abortSignal: signal })
  return answer.httpStatusCode === NO_CONTENT
}

/** Deletes up to 1000 keys in one request. */
export async function deleteBatch(
  service: S3Service,
  keys: readonly string[],
  { notAfter }: DeleteSettings,
  { signal }: Attempt,
): Promise<BatchAnswer> {
  const command = new DeleteObjectsCommand({
    Bucket: service.bucket,
    // A quiet answer would not tell a key that was deleted from one that was left out.
    Delete: { Objects: keys.map((Key) => ({ Key })) },
  })
  if (!service.endpoint.isAws) addMd5(command)
  const sdk = await service.sdk()
  const timed = sdk.until(command, notAfter)
  return answerOf(service, await sdk.client.send(timed, { abortSignal: signal }))
}

function answerOf(
  service: S3Service,
  { Deleted = [], Errors = [] }: DeleteObjectsCommandOutput,
): BatchAnswer {
  const deleted = new Set(Deleted.flatMap(({ Key }) => Key ?? []))
  const failures = new Map<string, Failure>()
  for (const { Key: key, Code } of Errors) {
    if (key === undefined) continue
    if (Code === 'NoSuchKey' || Code === 'NoSuchVersion') deleted.add(key)
    else failures.set(key, toKeyFailure(Code, service.nameOf(key)))
  }
  return { deleted, failures }
}
