import {
  AnonymousCredential,
  BlobSASPermissions,
  BlobServiceClient,
  BlockBlobClient,
  ContainerClient,
  generateBlobSASQueryParameters,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { S3loError } from '@s3lo/core/plugin'
import type { AzureAccount } from './account.ts'
import { InjectorPolicyFactory } from './answer-check.ts'

/** What a signature allows: to read, to create and write, or to delete one blob. */
export type SignedRight = 'r' | 'cw' | 'd'

/** The SDK's clients for one container, and the signatures that an account key can make. */
export class Container {
  readonly name: string
  /** Equal for containers of one account. */
  readonly accountUrl: string
  readonly client: ContainerClient
  /** Of the whole account. */
  readonly service: BlobServiceClient
  /** How requests are authorised: by which header or parameter. */
  readonly access: 'key' | 'token' | 'sas'
  readonly #key: StorageSharedKeyCredential | undefined
  readonly #url: string

  constructor(name: string, { url, credential, sasToken }: AzureAccount) {
    this.name = name
    this.accountUrl = url
    this.#url = `${url}/${encodeURIComponent(name)}`
    this.#key = credential instanceof StorageSharedKeyCredential ? credential : undefined
    this.access = this.#key ? 'key' : sasToken === undefined ? 'token' : 'sas'
    const query = sasToken === undefined ? '' : `?${sasToken}`
    const pipeline = pipelineFor(credential)
    this.client = new ContainerClient(this.#url + query, pipeline)
    this.service = new BlobServiceClient(url + query, pipeline)
  }

  /** True when one request can be signed with a right and an end of its own. */
  get canSign(): boolean {
    return this.#key !== undefined
  }

  blob(key: string): BlockBlobClient {
    assertKey(key)
    return this.client.getBlockBlobClient(key)
  }

  /**
   * A client of one blob whose requests the service refuses from `expiresOn` on, in whole seconds
   * rounded down. Throws `UNSUPPORTED` without an account key.
   */
  signedBlob(key: string, right: SignedRight, expiresOn: Date): BlockBlobClient {
    const url = this.signedUrl(key, right, expiresOn)
    return new BlockBlobClient(url, pipelineFor(new AnonymousCredential()))
  }

  /** The URL of one blob with a right and an end. Throws `UNSUPPORTED` without an account key. */
  signedUrl(key: string, right: SignedRight, expiresOn: Date): string {
    assertKey(key)
    if (this.#key === undefined) {
      throw new S3loError('UNSUPPORTED', `signing a request for az://${this.name} needs a key`, {
        hint: 'set AZURE_STORAGE_KEY',
      })
    }
    const permissions = BlobSASPermissions.parse(right)
    const values = { containerName: this.name, blobName: key, permissions, expiresOn }
    const signature = generateBlobSASQueryParameters(values, this.#key).toString()
    return `${this.client.getBlobClient(key).url}?${signature}`
  }
}

/** One attempt only: `Requests` repeats, since it has to know which attempts there were. */
function pipelineFor(credential: AzureAccount['credential']): ReturnType<typeof newPipeline> {
  const pipeline = newPipeline(credential, {
    retryOptions: { maxTries: 1 },
    userAgentOptions: { userAgentPrefix: 's3lo' },
  })
  pipeline.factories.push(new InjectorPolicyFactory())
  return pipeline
}

/** A URL resolves `.` and `..`, so such a key would lead to another blob, or out of the container. */
export function assertKey(key: string): void {
  const segments = key.split('/')
  const isPath = segments.includes('.') || segments.includes('..')
  if (key !== '' && key.isWellFormed() && !isPath) return
  throw new S3loError('INVALID_REFERENCE', `"${key}" cannot be the name of a blob`)
}
