import { requiredVariables } from '@s3lo/core/testing'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'

/** A blob service for tests, with an account key. */
export interface AzureServer {
  readonly endpoint: string
  readonly account: string
  readonly key: string
}

/** The service that S3LO_TEST_AZURE_ENDPOINT names, as `requiredVariables` has it. */
export function requiredServer(): AzureServer | undefined {
  const names = ['S3LO_TEST_AZURE_ENDPOINT', 'AZURE_STORAGE_ACCOUNT', 'AZURE_STORAGE_KEY'] as const
  const found = requiredVariables('azure', names, 'eval "$(integration/start-azurite.sh)"')
  return (
    found && {
      endpoint: found.S3LO_TEST_AZURE_ENDPOINT,
      account: found.AZURE_STORAGE_ACCOUNT,
      key: found.AZURE_STORAGE_KEY,
    }
  )
}

/** The SDK's own client, to make and remove containers. */
export function containerClient(
  { endpoint, account, key }: AzureServer,
  bucket: string,
): ContainerClient {
  return new ContainerClient(`${endpoint}/${bucket}`, new StorageSharedKeyCredential(account, key))
}
