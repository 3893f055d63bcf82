import { type BackendOptions, S3loError, type StoreLocation } from '@s3lo/core/plugin'
import { findAccess } from './access.ts'
import { resolveEndpoint } from './endpoint.ts'
import { findUniverse, GOOGLE_UNIVERSE } from './universe.ts'
import { type GcsBackend, gcsBackend, type GcsBackendOptions } from './gcs-backend.ts'

/**
 * Opens the bucket; asks the service nothing yet. Throws `INVALID_REFERENCE`, `USAGE`, and
 * `UNAUTHORIZED` for a credential file that cannot be used.
 */
export async function openBackend(
  { bucket }: StoreLocation,
  options: BackendOptions,
  backendOptions?: GcsBackendOptions,
): Promise<GcsBackend> {
  options.signal?.throwIfAborted()
  assertBucketName(bucket)
  // An emulator is sent no token, so nothing depends on whose it would be.
  const { isAnonymous } = resolveEndpoint(options)
  const universe = isAnonymous ? GOOGLE_UNIVERSE : await findUniverse(options)
  const endpoint = resolveEndpoint(options, universe)
  const access = await findAccess(options, endpoint)
  const { env, trustEndpoint } = options
  return gcsBackend(bucket, endpoint, access, { env, trustEndpoint, ...backendOptions })
}

/** Also keeps `..` and `/` out of the URL. */
function assertBucketName(name: string): void {
  const isLength = name.length >= 3 && name.length <= (name.includes('.') ? 222 : 63)
  if (isLength && /^[a-z0-9][a-z0-9._-]*[a-z0-9]$/.test(name) && !name.includes('..')) return
  throw new S3loError('INVALID_REFERENCE', `"${name}" cannot be the name of a Google bucket`, {
    hint: 'use 3 to 63 lower-case letters, digits, hyphens, underscores and dots',
  })
}
