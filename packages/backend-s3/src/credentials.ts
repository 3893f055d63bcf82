import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import type { NodeHttpHandler } from '@smithy/node-http-handler'
import type { Profile } from './profile.ts'
import type { Credentials } from './signature.ts'

/** Finds an access key, and another one before that ends. */
export type CredentialProvider = () => Promise<Credentials>

/** What a provider of the SDK asks the services of logins and roles with. */
export interface ProviderContext {
  readonly callerClientConfig: {
    readonly region: () => Promise<string>
    readonly requestHandler: NodeHttpHandler
    readonly profile?: string
  }
}

/** So long before its end a key is looked for anew, as the SDK has it (milliseconds). */
const RENEWED_BEFORE_MS = 300_000

/** Asks once for all requests, and again before a key ends. A failure is asked again. */
export function remembered(
  ask: () => Promise<Credentials>,
  renewedBeforeMs = RENEWED_BEFORE_MS,
): CredentialProvider {
  let asked: Promise<Credentials> | undefined
  return async () => {
    const last = asked
    if (last && (await endsWithin(last, renewedBeforeMs)) && asked === last) asked = undefined
    asked ??= ask()
    return asked
  }
}

async function endsWithin(found: Promise<Credentials>, ms: number): Promise<boolean> {
  try {
    const { expiration } = await found
    return expiration !== undefined && expiration.getTime() - Date.now() < ms
  } catch {
    return true
  }
}

/** What was given as an option: a key, or a provider of the SDK. */
export type GivenCredentials = Credentials | ((context: ProviderContext) => Promise<Credentials>)

/** Throws `USAGE` for what is neither a key nor a provider. */
export function parseCredentials(given: unknown): GivenCredentials | undefined {
  if (given === undefined) return undefined
  if (typeof given === 'function') return given as Extract<GivenCredentials, () => unknown>
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

/** The key that `env` names; the SDK would look at the process's own variables. */
function environmentCredentials(env: BackendOptions['env']): Credentials | undefined {
  const accessKeyId = env['AWS_ACCESS_KEY_ID']
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY']
  const sessionToken = env['AWS_SESSION_TOKEN']
  if (!accessKeyId || !secretAccessKey) return undefined
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
}

/**
 * The key that was given, that of `env`, or the one that stands in the profile itself; else what the
 * SDK's chain finds, which is loaded then: logins, roles, processes, and the services of a machine or
 * container.
 */
export async function findCredentials(
  given: GivenCredentials | undefined,
  env: BackendOptions['env'],
  region: string,
  profile: Profile | undefined,
): Promise<CredentialProvider> {
  const known =
    typeof given === 'object' ? given : (environmentCredentials(env) ?? profile?.credentials)
  if (typeof given !== 'function' && known) return async () => known
  const { askProvider, credentialChain } = await import('./credential-chain.ts')
  return typeof given === 'function'
    ? askProvider(given, env, region)
    : credentialChain(env, region)
}
