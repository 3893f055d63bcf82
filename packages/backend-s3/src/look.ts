import { HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { type CallSettings, RequestError, toThrown } from '@s3lo/core/transfer'
import type { ObjectFacts } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** The name in an object's metadata of the write that made it, for the one case that its answer is lost. */
export const WRITE_ID = 's3lo-write'

/** What the service says of an object; `undefined` where it is not there. */
export async function look(
  service: S3Service,
  key: string,
  { signal }: Pick<CallSettings, 'signal'>,
): Promise<HeadObjectCommandOutput | undefined> {
  const input = { Bucket: service.bucket, Key: key }
  try {
    return await service.trySend({ what: service.nameOf(key), signal }, (client, attempt) =>
      client.send(new HeadObjectCommand(input), { abortSignal: attempt.signal }),
    )
  } catch (error) {
    if (error instanceof RequestError && error.failure.status === 404) return undefined
    throw toThrown(error)
  }
}

/** The facts of the object when it is the one that the write `id` has made. */
export async function findWrite(
  service: S3Service,
  key: string,
  { id, signal }: Pick<CallSettings, 'signal'> & { readonly id: string },
): Promise<ObjectFacts | undefined> {
  const found = await look(service, key, { signal })
  if (found?.Metadata?.[WRITE_ID] !== id) return undefined
  return { size: found.ContentLength, etag: found.ETag, lastModified: found.LastModified }
}
