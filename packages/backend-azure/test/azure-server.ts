import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'

/** A blob service for tests, with an account key. */
export interface AzureServer {
  readonly endpoint: string
  readonly account: string
  readonly key: string
}

/**
 * The service that S3LO_TEST_AZURE_ENDPOINT names. Without it its tests are skipped, with the
 * reason printed, except where S3LO_REQUIRE names `azure`: there it fails.
 */
export function requiredServer(): AzureServer | undefined {
  const endpoint = process.env['S3LO_TEST_AZURE_ENDPOINT']
  const account = process.env['AZURE_STORAGE_ACCOUNT']
  const key = process.env['AZURE_STORAGE_KEY']
  if (endpoint && account && key) return { endpoint, account, key }
  const reason = 'there is no blob service: eval "$(integration/start-azurite.sh)"'
  if ((process.env['S3LO_REQUIRE'] ?? '').split(',').includes('azure')) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}

/** The SDK's own client, to make and remove containers. */
export function containerClient(
  { endpoint, account, key }: AzureServer,
  bucket: string,
): ContainerClient {
  return new ContainerClient(`${endpoint}/${bucket}`, new StorageSharedKeyCredential(account, key))
}
