import {
  isS3loError,
  type RegistryCredential,
  type RegistryCredentialOptions,
  S3loError,
} from '@s3lo/core/plugin'
import { type Attempt, DEFAULT_RETRY_POLICY, Requests } from '@s3lo/core/transfer'
import { environmentCredentials } from './credentials.ts'
import { areCredentialsAbsent, toFailure } from './errors.ts'
import { httpHandler } from './http-handler.ts'
import { readProfile } from './profile.ts'
import type { Credentials } from './signature.ts'

type Environment = RegistryCredentialOptions['env']

const PUBLIC_HOST = 'public.ecr.aws'
/** The one region that has the service of public registries. */
const PUBLIC_REGION = 'us-east-1'

/** What both services answer. */
interface Authorization {
  readonly authorizationToken?: string | undefined
  readonly expiresAt?: Date | undefined
}

/** Where a token is asked for. */
interface Registry {
  readonly isPublic: boolean
  readonly region: string
  readonly isFips: boolean
  readonly isDualStack: boolean
}

/**
 * A token of Amazon ECR for its own registries, of the region that the host names. `undefined`
 * where there are no AWS credentials; throws `UNAUTHORIZED` or `FORBIDDEN` for some that ECR
 * refuses, except at the public registry, which anybody may read.
 */
export async function getRegistryCredential(
  host: string,
  { env, signal }: RegistryCredentialOptions,
): Promise<RegistryCredential | undefined> {
  signal?.throwIfAborted()
  const registry = parseHost(host)
  if (!registry) return undefined
  if (!registry.isPublic) await readProfile(env)
  const requests = new Requests(DEFAULT_RETRY_POLICY, toFailure)
  let isAbsent = false
  const ask = async (attempt: Attempt): Promise<Authorization | undefined> => {
    try {
      return await authorize(registry, env, attempt.signal)
    } catch (error) {
      isAbsent = areCredentialsAbsent(error)
      throw error
    }
  }
  try {
    return toCredential(host, await requests.send({ what: host, signal }, ask))
  } catch (error) {
    if (isAbsent) return undefined
    // The keys may be those of another S3 service.
    const isRefused = isS3loError(error, 'UNAUTHORIZED') || isS3loError(error, 'FORBIDDEN')
    if (registry.isPublic && isRefused) return undefined
    throw error
  }
}

function parseHost(host: string): Registry | undefined {
  if (host === PUBLIC_HOST) {
    return { isPublic: true, region: PUBLIC_REGION, isFips: false, isDualStack: false }
  }
  const [, fips, region] =
    /^\d{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(host) ??
    /^\d{12}\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.on\.aws$/.exec(host) ??
    []
  if (region === undefined) return undefined
  const isDualStack = host.endsWith('.on.aws')
  return { isPublic: false, region, isFips: fips !== undefined, isDualStack }
}

/** Loads the SDK of the service that knows the registry, and asks it. */
async function authorize(
  { isPublic, region, isFips, isDualStack }: Registry,
  env: Environment,
  abortSignal: AbortSignal,
): Promise<Authorization | undefined> {
  if (isPublic) {
    const sdk = await import('@aws-sdk/client-ecr-public')
    const client = new sdk.ECRPUBLICClient({
      ...clientConfig(env, 'AWS_ENDPOINT_URL_ECR_PUBLIC'),
      region,
    })
    return closing(client, async () => {
      const answer = await client.send(new sdk.GetAuthorizationTokenCommand({}), { abortSignal })
      return answer.authorizationData
    })
  }
  const sdk = await import('@aws-sdk/client-ecr')
  const client = new sdk.ECRClient({
    ...clientConfig(env, 'AWS_ENDPOINT_URL_ECR'),
    region,
    useFipsEndpoint: isFips,
    useDualstackEndpoint: isDualStack,
  })
  return closing(client, async () => {
    const answer = await client.send(new sdk.GetAuthorizationTokenCommand({}), { abortSignal })
    return answer.authorizationData?.[0]
  })
}

/** What both clients are made with. The SDK would look at the process's own variables for a key. */
function clientConfig(
  env: Environment,
  variable: 'AWS_ENDPOINT_URL_ECR' | 'AWS_ENDPOINT_URL_ECR_PUBLIC',
): {
  readonly credentials?: Credentials
  readonly profile?: string
  readonly endpoint?: string
  readonly maxAttempts: number
  readonly requestHandler: ReturnType<typeof httpHandler>
} {
  const [credentials, profile] = [environmentCredentials(env), env['AWS_PROFILE']]
  const endpoint = env[variable]
  return {
    ...(credentials && { credentials }),
    ...(profile && { profile }),
    ...(endpoint && { endpoint }),
    maxAttempts: 1,
    requestHandler: httpHandler(env),
  }
}

async function closing<T>(
  client: { readonly config: object; destroy(): void },
  use: () => Promise<T>,
): Promise<T> {
  // AWS_ENDPOINT_URL and the profile mostly name another S3 service, which knows no registry.
  if ('serviceConfiguredEndpoint' in client.config) {
    client.config.serviceConfiguredEndpoint = async () => undefined
  }
  try {
    return await use()
  } finally {
    client.destroy()
  }
}

function toCredential(host: string, found: Authorization | undefined): RegistryCredential {
  const decoded = Buffer.from(found?.authorizationToken ?? '', 'base64').toString()
  const [, username, password] = /^([^:]+):(.+)$/s.exec(decoded) ?? []
  if (username === undefined || password === undefined) {
    throw new S3loError('UNAVAILABLE', `${host}: the answer of Amazon ECR has no token`)
  }
  const expiresAt = found?.expiresAt
  return { username, password, ...(expiresAt && { expiresAt }) }
}
