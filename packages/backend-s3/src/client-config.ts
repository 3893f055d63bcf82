import type { S3ClientConfig } from '@aws-sdk/client-s3'
import type { BackendOptions } from '@s3lo/core/plugin'
import type { CredentialProvider } from './credentials.ts'
import type { Credentials } from './signature.ts'
import { environmentCredentials } from './credentials.ts'
import type { S3Endpoint } from './endpoint.ts'

/** What the SDK's client of a bucket is made with, as far as it depends on the bucket's service. */
export function clientConfig(
  { url, isAws }: S3Endpoint,
  region: string,
  credentials: CredentialProvider,
): S3ClientConfig {
  const checks = isAws ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  return {
    maxAttempts: 1,
    ...(url !== undefined && { endpoint: url, forcePathStyle: !isAws }),
    region,
    credentials,
    // Others than AWS stumble over checksums that they do not know; there, Content-MD5 guards.
    requestChecksumCalculation: checks,
    // Every blob is verified by its digest, which says more.
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    // The endpoint is decided before: the SDK would take any service that a profile names for AWS.
    ignoreConfiguredEndpointUrls: true,
    customUserAgent: 's3lo',
  }
}

/** The key and the profile that `env` names; the SDK would look at the process's own variables. */
export function identityConfig(env: BackendOptions['env']): {
  readonly credentials?: Credentials
  readonly profile?: string
} {
  const credentials = environmentCredentials(env)
  const profile = env['AWS_PROFILE']
  return { ...(credentials && { credentials }), ...(profile && { profile }) }
}
