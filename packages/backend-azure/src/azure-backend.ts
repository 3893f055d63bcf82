import {
  DEFAULT_RETRY_POLICY,
  type NetworkBackend,
  networkBackend,
  Requests,
  type RetryPolicy,
  type TransferOptions,
} from '@s3lo/core/transfer'
import type { AzureAccount } from './account.ts'
import { BlobService } from './blob-service.ts'
import { toFailure } from './errors.ts'

/** What an {@link AzureBackend} can be made with. */
export interface AzureBackendOptions extends TransferOptions {
  readonly retry?: Partial<RetryPolicy> | undefined
}

/** A container of Azure Blob Storage. */
export type AzureBackend = NetworkBackend<BlobService>

/** Opens a container of an account; asks the service nothing yet. */
export function azureBackend(
  bucket: string,
  account: AzureAccount,
  { retry, ...options }: AzureBackendOptions = {},
): AzureBackend {
  const requests = new Requests({ ...DEFAULT_RETRY_POLICY, ...retry }, toFailure)
  return networkBackend(new BlobService(bucket, account, requests), options)
}
