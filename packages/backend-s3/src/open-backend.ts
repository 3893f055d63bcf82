import type { BackendOptions, StoreLocation } from '@s3lo/core/plugin'
import { assertBucketName } from './endpoint.ts'
import { withProfile } from './profile.ts'
import { type S3Backend, s3Backend } from './s3-backend.ts'

/**
 * Opens the bucket at AWS, or at the endpoint that `endpoint`, `env` or the profile names; asks the
 * service nothing yet. Throws `INVALID_REFERENCE`, `UNSUPPORTED` for an ARN, and `USAGE`, also for a
 * profile that is not there.
 */
export async function openBackend(
  { bucket }: StoreLocation,
  options: BackendOptions,
): Promise<S3Backend> {
  options.signal?.throwIfAborted()
  assertBucketName(bucket)
  return s3Backend(bucket, await withProfile(options))
}
