import { type BackendOptions, S3loError, type StoreLocation } from '@s3lo/core/plugin'
import { resolveAccount } from './account.ts'
import { type AzureBackend, azureBackend } from './azure-backend.ts'

/**
 * Opens the blob container `bucket` of the account that `env` or `endpoint` names; asks the
 * service nothing yet. Throws `INVALID_REFERENCE` and `USAGE`.
 */
export async function openBackend(
  { bucket }: StoreLocation,
  options: BackendOptions,
): Promise<AzureBackend> {
  options.signal?.throwIfAborted()
  assertContainerName(bucket)
  return azureBackend(bucket, resolveAccount(options))
}

/** Also keeps `..` and `/` out of the URL. */
function assertContainerName(name: string): void {
  if (/^\$(root|web|logs)$/.test(name)) return
  if (/^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return
  throw new S3loError('INVALID_REFERENCE', `"${name}" cannot be the name of an Azure container`, {
    hint: 'use 3 to 63 lower-case letters, digits and single hyphens; the account is no part of it',
  })
}
