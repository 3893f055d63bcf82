import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { openBackend as openAzure } from '@s3lo/backend-azure'
import { openBackend as openGcs } from '@s3lo/backend-gcs'
import { openBackend as openLocal } from '@s3lo/backend-local'
import { openBackend as openS3 } from '@s3lo/backend-s3'
import type { StorageBackend } from '@s3lo/core'
import { requiredServer } from './required.ts'
import type { Environment } from './source-cli.ts'

/** A service that holds stores, and what the command line has to be told to reach it. */
export interface CloudStore {
  /** For titles of tests. */
  readonly name: string
  readonly scheme: 'local' | 's3' | 'gs' | 'az'
  /** The service's URL; `undefined` where there is no service. */
  readonly endpoint: string | undefined
  /** True where of two creates of one object exactly one succeeds. */
  readonly isStrict: boolean
  /** The variables that lead to the service, or to what stands at `endpoint` before it. */
  env(endpoint?: string): Environment
  /** Makes an empty bucket and gives its name. */
  makeBucket(): Promise<string>
  /** Removes a bucket that has no objects left. */
  dropBucket(bucket: string): Promise<void>
  open(bucket: string): Promise<StorageBackend>
}

/** Every service that is there; `folder` is for the stores of this machine. */
export function cloudStores(folder: string): readonly CloudStore[] {
  const stores = [localStore(folder), cephStore(), gcsStore(), azureStore(), swiftStore()]
  return stores.filter((store) => store !== undefined)
}

/** The reference of an image (`app:v1`) or of the whole bucket (empty). */
export function referenceIn({ scheme }: CloudStore, bucket: string, image = ''): string {
  return `${scheme}://${bucket}${scheme === 'local' ? '//' : '/'}${image}`
}

/** Empties a bucket and removes it. */
export async function removeBucket(store: CloudStore, bucket: string): Promise<void> {
  const backend = await store.open(bucket)
  const keys: string[] = []
  for await (const { key } of backend.list('')) keys.push(key)
  await backend.delete(keys)
  await backend.close?.()
  await store.dropBucket(bucket)
}

function localStore(folder: string): CloudStore {
  return {
    name: 'local',
    scheme: 'local',
    endpoint: undefined,
    isStrict: true,
    env: () => ({}),
    makeBucket: () => mkdtemp(join(folder, 'store-')),
    dropBucket: (bucket) => rm(bucket, { recursive: true }),
    open: (bucket) => openLocal({ scheme: 'local', bucket }, { env: {} }),
  }
}

function cephStore(): CloudStore | undefined {
  const names = ['S3LO_TEST_S3_ENDPOINT', 'S3LO_TEST_S3_KEY', 'S3LO_TEST_S3_SECRET'] as const
  const found = requiredServer('s3', 'start-s3.sh', names)
  if (!found) return undefined
  const { S3LO_TEST_S3_ENDPOINT, S3LO_TEST_S3_KEY, S3LO_TEST_S3_SECRET } = found
  return s3Store('s3 (Ceph)', true, S3LO_TEST_S3_ENDPOINT, {
    AWS_ACCESS_KEY_ID: S3LO_TEST_S3_KEY,
    AWS_SECRET_ACCESS_KEY: S3LO_TEST_S3_SECRET,
  })
}

function swiftStore(): CloudStore | undefined {
  const found = requiredServer('swift', 'start-s3.sh', [
    'S3LO_TEST_SWIFT_ENDPOINT',
    'S3LO_TEST_SWIFT_KEY',
    'S3LO_TEST_SWIFT_SECRET',
  ])
  if (!found) return undefined
  const { S3LO_TEST_SWIFT_ENDPOINT, S3LO_TEST_SWIFT_KEY, S3LO_TEST_SWIFT_SECRET } = found
  return s3Store('s3 (Swift)', false, S3LO_TEST_SWIFT_ENDPOINT, {
    AWS_ACCESS_KEY_ID: S3LO_TEST_SWIFT_KEY,
    AWS_SECRET_ACCESS_KEY: S3LO_TEST_SWIFT_SECRET,
  })
}

interface AccessKey {
  readonly AWS_ACCESS_KEY_ID: string
  readonly AWS_SECRET_ACCESS_KEY: string
}

function s3Store(name: string, isStrict: boolean, url: string, key: AccessKey): CloudStore {
  const env = (endpoint = url): Environment => ({
    ...key,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: 'us-east-1',
  })
  const client = s3Client(env())
  return {
    name,
    scheme: 's3',
    endpoint: url,
    isStrict,
    env,
    makeBucket: async () => {
      const bucket = newName()
      await client.send(new CreateBucketCommand({ Bucket: bucket }))
      return bucket
    },
    dropBucket: async (bucket) => {
      await client.send(new DeleteBucketCommand({ Bucket: bucket }))
    },
    open: (bucket) => openS3({ scheme: 's3', bucket }, { env: env() }),
  }
}

/** The SDK's own client, for what variables as those of {@link CloudStore.env} lead to. */
export function s3Client(env: Environment): S3Client {
  return new S3Client({
    endpoint: env['AWS_ENDPOINT_URL_S3'] ?? '',
    region: env['AWS_REGION'] ?? '',
    forcePathStyle: true,
    credentials: {
      accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  })
}

function gcsStore(): CloudStore | undefined {
  const names = ['S3LO_TEST_GCS_ENDPOINT', 'S3LO_TEST_GCS_KEY_FILE'] as const
  const found = requiredServer('gcs', 'start-gcs.sh', names)
  if (!found) return undefined
  const url = found.S3LO_TEST_GCS_ENDPOINT
  const env = (endpoint = url): Environment => ({
    STORAGE_EMULATOR_HOST: endpoint,
    // Signs addresses.
    GOOGLE_APPLICATION_CREDENTIALS: found.S3LO_TEST_GCS_KEY_FILE,
  })
  const ask = async (method: string, path: string, body?: object): Promise<void> => {
    const response = await fetch(`${url}/storage/v1/b${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
      headers: { 'content-type': 'application/json' },
    })
    if (!response.ok) throw new Error(`${method} of a bucket: HTTP ${response.status}`)
  }
  return {
    name: 'gs',
    scheme: 'gs',
    endpoint: url,
    isStrict: true,
    env,
    makeBucket: async () => {
      const bucket = newName()
      await ask('POST', '?project=s3lo-test', { name: bucket })
      return bucket
    },
    dropBucket: (bucket) => ask('DELETE', `/${bucket}`),
    open: (bucket) => openGcs({ scheme: 'gs', bucket }, { env: env() }),
  }
}

function azureStore(): CloudStore | undefined {
  const found = requiredServer('azure', 'start-azurite.sh', [
    'S3LO_TEST_AZURE_ENDPOINT',
    'AZURE_STORAGE_ACCOUNT',
    'AZURE_STORAGE_KEY',
  ])
  if (!found) return undefined
  const { S3LO_TEST_AZURE_ENDPOINT: url, AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY } = found
  const credential = new StorageSharedKeyCredential(AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY)
  const containerOf = (bucket: string): ContainerClient =>
    new ContainerClient(`${url}/${bucket}`, credential)
  const env = (endpoint = url): Environment => ({
    AZURE_STORAGE_CONNECTION_STRING: `DefaultEndpointsProtocol=http;AccountName=${AZURE_STORAGE_ACCOUNT};AccountKey=${AZURE_STORAGE_KEY};BlobEndpoint=${endpoint};`,
  })
  return {
    name: 'az',
    scheme: 'az',
    endpoint: url,
    isStrict: true,
    env,
    makeBucket: async () => {
      const bucket = newName()
      await containerOf(bucket).create()
      return bucket
    },
    dropBucket: async (bucket) => {
      await containerOf(bucket).delete()
    },
    open: (bucket) => openAzure({ scheme: 'az', bucket }, { env: env() }),
  }
}

/** A name that every service takes. */
function newName(): string {
  return `s3lo-${randomUUID()}`
}
