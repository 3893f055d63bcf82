import type { BackendOptions, StoreLocation } from '@s3lo/core/plugin'
import { assertBucketName } from './endpoint.ts'
import { S3Backend } from './s3-backend.ts'

/**
 * Opens the bucket at AWS, or at the endpoint that `endpoint` or `env` names; asks the service
 * nothing yet. Throws `INVALID_REFERENCE`, `UNSUPPORTED` for an ARN, and `USAGE`.
 */
export async function openBackend(
  { bucket }: StoreLocation,
  options: BackendOptions,
): Promise<S3Backend> {
  options.signal?.throwIfAborted()
  assertBucketName(bucket)
  return new S3Backend(bucket, options)
}
