import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'

/** An S3 service for tests, with an access key. */
export interface S3Server {
  readonly endpoint: string
  readonly key: string
  readonly secret: string
}

/**
 * The service that S3LO_TEST_<kind>_ENDPOINT names. Without it its tests are skipped, with the
 * reason printed, except where S3LO_REQUIRE names the kind: there it fails.
 */
export function requiredServer(kind: 's3' | 'swift', script: string): S3Server | undefined {
  const prefix = `S3LO_TEST_${kind.toUpperCase()}_`
  const endpoint = process.env[`${prefix}ENDPOINT`]
  const key = process.env[`${prefix}KEY`]
  const secret = process.env[`${prefix}SECRET`]
  if (endpoint && key && secret) return { endpoint, key, secret }
  const reason = `there is no ${kind} service: eval "$(${script})"`
  if ((process.env['S3LO_REQUIRE'] ?? '').split(',').includes(kind)) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
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
