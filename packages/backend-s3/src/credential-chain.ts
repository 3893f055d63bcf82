import { defaultProvider } from '@aws-sdk/credential-provider-node'
import type { BackendOptions } from '@s3lo/core/plugin'
import type { CredentialProvider, GivenCredentials, ProviderContext } from './credentials.ts'
import { httpHandler } from './http-handler.ts'
import type { Credentials } from './signature.ts'

type Environment = BackendOptions['env']

/** So long before its end a key is looked for anew, as the SDK has it (milliseconds). */
const RENEWED_BEFORE_MS = 300_000

/** The SDK's own search for an access key; it remembers what it finds. */
export function credentialChain(env: Environment, region: string): CredentialProvider {
  const profile = env['AWS_PROFILE']
  const context = contextOf(env, region)
  const provider = defaultProvider({
    ...(profile && { profile }),
    parentClientConfig: context.callerClientConfig,
  })
  return () => provider(context)
}

/** Asks a provider once for all requests, and again before a key ends. A failure is asked again. */
export function askProvider(
  provider: Extract<GivenCredentials, (context: ProviderContext) => unknown>,
  env: Environment,
  region: string,
): CredentialProvider {
  const context = contextOf(env, region)
  let asked: Promise<Credentials> | undefined
  return async () => {
    const last = asked
    if (last && (await endsSoon(last)) && asked === last) asked = undefined
    asked ??= provider(context)
    return asked
  }
}

async function endsSoon(found: Promise<Credentials>): Promise<boolean> {
  try {
    const { expiration } = await found
    return expiration !== undefined && expiration.getTime() - Date.now() < RENEWED_BEFORE_MS
  } catch {
    return true
  }
}

function contextOf(env: Environment, region: string): ProviderContext {
  const profile = env['AWS_PROFILE']
  return {
    callerClientConfig: {
      region: async () => region,
      requestHandler: httpHandler(env),
      ...(profile && { profile }),
    },
  }
}
