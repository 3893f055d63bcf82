import dns from 'node:dns'
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { requiredVariables } from '@s3lo/core/testing'
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'

/** An S3 service for tests, with an access key. */
export interface S3Server {
  readonly endpoint: string
  readonly key: string
  readonly secret: string
}

/** The service that S3LO_TEST_<kind>_ENDPOINT names, as `requiredVariables` has it. */
export function requiredServer(kind: 's3' | 'swift' | 'aws', script: string): S3Server | undefined {
  const names = ['ENDPOINT', 'KEY', 'SECRET'].map(
    (name) => `S3LO_TEST_${kind.toUpperCase()}_${name}`,
  )
  const found = requiredVariables(kind, names, `eval "$(${script})"`)
  const [endpoint = '', key = '', secret = ''] = names.map((name) => found?.[name])
  return found && { endpoint, key, secret }
}

/** What answers as AWS has shown to be AWS. */
export function awsCertificate(): string {
  return readFileSync(process.env['S3LO_TEST_AWS_CA'] ?? '', 'utf8')
}

/** Looks up names of hosts at 127.0.0.1, and trusts a certificate, until it is restored. */
export function leadToLoopback(
  names: RegExp,
  certificate: string,
): { readonly restore: () => void } {
  const { lookup } = dns
  const trusted = tls.getCACertificates('default')
  const answer = (host: string, options: dns.LookupAllOptions, done: LookupDone): void => {
    if (!names.test(host)) lookup(host, options, done)
    else if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }])
    else done(null, '127.0.0.1', 4)
  }
  // Node's clients ask what is there when they connect.
  Object.assign(dns, { lookup: answer })
  tls.setDefaultCACertificates([...trusted, certificate])
  return {
    restore: () => {
      Object.assign(dns, { lookup })
      tls.setDefaultCACertificates(trusted)
    },
  }
}

type LookupDone = (
  error: Error | null,
  address: string | readonly dns.LookupAddress[],
  family?: number,
) => void

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
