import { DeleteObjectsCommand, type DeleteObjectsCommandOutput } from '@aws-sdk/client-s3'
import type { BatchAnswer, BatchDeletes, Failure } from '@s3lo/core/transfer'
import { toKeyFailure } from './errors.ts'
import { addMd5 } from './request-middleware.ts'
import type { S3Service } from './s3-service.ts'

/** The most keys that one request deletes. */
const BATCH_KEYS = 1000

/** Deletions of up to 1000 keys in one request. */
export function batchDeletes(service: S3Service): BatchDeletes {
  return {
    most: BATCH_KEYS,
    takes: canBeInXml,
    delete: async (keys, { notAfter }, { signal }) => {
      const command = new DeleteObjectsCommand({
        Bucket: service.bucket,
        // A quiet answer would not tell a key that was deleted from one that was left out.
        Delete: { Objects: keys.map((Key) => ({ Key })) },
      })
      if (!service.endpoint.isAws) addMd5(command)
      const timed = service.until(command, notAfter)
      return answerOf(service, await service.client.send(timed, { abortSignal: signal }))
    },
  }
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

/** XML 1.0 has no way to write most control characters. */
function canBeInXml(key: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return !/[\u0000-\u001f\ufffe\uffff]/.test(key)
}
