import { defaultProvider } from '@aws-sdk/credential-provider-node'
import type { BackendOptions } from '@s3lo/core/plugin'
import {
  type CredentialProvider,
  type GivenCredentials,
  type ProviderContext,
  remembered,
} from './credentials.ts'
import { httpHandler } from './http-handler.ts'

type Environment = BackendOptions['env']

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

/** Asks a provider of the SDK. */
export function askProvider(
  provider: Extract<GivenCredentials, (context: ProviderContext) => unknown>,
  env: Environment,
  region: string,
): CredentialProvider {
  const context = contextOf(env, region)
  return remembered(() => provider(context))
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
