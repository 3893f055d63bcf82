import { Agent as HttpAgent } from 'node:http'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { type BackendOptions, readBoundedFileSync, S3loError } from '@s3lo/core/plugin'
import { httpsAgent } from '@s3lo/core/transfer'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { S3Endpoint } from './endpoint.ts'

/** What opens S3: an access key, or a provider of one. */
type Credentials = NonNullable<S3ClientConfig['credentials']>

/** The region of a request where no setting names one. */
export const DEFAULT_REGION = 'us-east-1'
/** Connections at once; parts and small objects share them. */
const MOST_SOCKETS = 64
const CONNECT_MS = 10_000
/** A bundle of all public authorities has some 250 kB. */
const MAX_CA_BYTES = 4 * 1024 * 1024

/** What every client of the bucket's service is made with. Throws `USAGE`. */
export function clientConfig(
  { env, region, credentials }: BackendOptions,
  { url, isAws }: S3Endpoint,
): S3ClientConfig {
  const wantedRegion = region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION']
  const given = givenCredentials(credentials)
  const checks = isAws ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  return {
    maxAttempts: 1,
    ...(url !== undefined && { endpoint: url, forcePathStyle: !isAws }),
    ...(wantedRegion ? { region: wantedRegion } : !isAws && { region: DEFAULT_REGION }),
    ...identityConfig(env),
    ...(given && { credentials: given }),
    // Others than AWS stumble over checksums that they do not know; there, Content-MD5 guards.
    requestChecksumCalculation: checks,
    // Every blob is verified by its digest, which says more.
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    // The endpoint is decided before: the SDK would take any service that a profile names for AWS.
    ignoreConfiguredEndpointUrls: true,
    customUserAgent: 's3lo',
    requestHandler: httpHandler(env),
  }
}

/** The credentials and the profile that `env` names; the SDK would look at the process's own variables. */
export function identityConfig(env: BackendOptions['env']): {
  readonly credentials?: Credentials
  readonly profile?: string
} {
  const credentials = environmentCredentials(env)
  const profile = env['AWS_PROFILE']
  return { ...(credentials && { credentials }), ...(profile && { profile }) }
}

/**
 * Connections that trust the authority in AWS_CA_BUNDLE and, to https, go through the proxy of
 * HTTPS_PROXY. Throws `USAGE` for a file that cannot be read.
 */
export function httpHandler(env: BackendOptions['env']): NodeHttpHandler {
  const caFile = env['AWS_CA_BUNDLE']
  const agent = { keepAlive: true, maxSockets: MOST_SOCKETS }
  return new NodeHttpHandler({
    connectionTimeout: CONNECT_MS,
    httpAgent: new HttpAgent(agent),
    httpsAgent: httpsAgent(env, { ...agent, ...(caFile && { ca: readCa(caFile) }) }),
  })
}

function readCa(file: string): Buffer {
  try {
    return readBoundedFileSync(file, MAX_CA_BYTES)
  } catch (error) {
    throw new S3loError('USAGE', `the CA file ${file} cannot be read`, {
      hint: 'correct AWS_CA_BUNDLE',
      cause: error,
    })
  }
}

function givenCredentials(given: unknown): Credentials | undefined {
  if (given === undefined) return undefined
  if (typeof given === 'function') return given as Extract<Credentials, () => unknown>
  if (
    typeof given === 'object' &&
    given !== null &&
    'accessKeyId' in given &&
    typeof given.accessKeyId === 'string' &&
    'secretAccessKey' in given &&
    typeof given.secretAccessKey === 'string'
  ) {
    const { accessKeyId, secretAccessKey } = given
    const token = 'sessionToken' in given ? given.sessionToken : undefined
    return {
      accessKeyId,
      secretAccessKey,
      ...(typeof token === 'string' && { sessionToken: token }),
    }
  }
  throw new S3loError('USAGE', 'the credentials given for S3 are of an unknown kind', {
    hint: 'give { accessKeyId, secretAccessKey, sessionToken? } or a provider of the AWS SDK',
  })
}

function environmentCredentials(env: BackendOptions['env']): Credentials | undefined {
  const accessKeyId = env['AWS_ACCESS_KEY_ID']
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY']
  const sessionToken = env['AWS_SESSION_TOKEN']
  if (!accessKeyId || !secretAccessKey) return undefined
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
}
