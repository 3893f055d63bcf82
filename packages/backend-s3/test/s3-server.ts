import { requiredVariables } from '@s3lo/core/testing'
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'

/** An S3 service for tests, with an access key. */
export interface S3Server {
  readonly endpoint: string
  readonly key: string
  readonly secret: string
}

/** The service that S3LO_TEST_<kind>_ENDPOINT names, as `requiredVariables` has it. */
export function requiredServer(kind: 's3' | 'swift', script: string): S3Server | undefined {
  const names = ['ENDPOINT', 'KEY', 'SECRET'].map(
    (name) => `S3LO_TEST_${kind.toUpperCase()}_${name}`,
  )
  const found = requiredVariables(kind, names, `eval "$(${script})"`)
  const [endpoint = '', key = '', secret = ''] = names.map((name) => found?.[name])
  return found && { endpoint, key, secret }
}

/** The SDK's own client, to make and remove buckets. */
export function clientOf({ endpoint, key, secret }: S3Server): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: key, secretAccessKey: secret },
  })
}

export async function makeBucket(client: S3Client, bucket: string): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
}

export async function removeBucket(client: S3Client, bucket: string): Promise<void> {
  await client.send(new DeleteBucketCommand({ Bucket: bucket }))
}
