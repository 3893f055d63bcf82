import type { newPipeline } from '@azure/storage-blob'
import type { BackendOptions } from '@s3lo/core/plugin'
import { untilAborted } from '@s3lo/core/transfer'

type Environment = BackendOptions['env']

/** What gives access tokens to the SDK. */
export type TokenCredential = Extract<
  Parameters<typeof newPipeline>[0],
  { readonly getToken: unknown }
>

/** True for anything that gives access tokens. */
export function isTokenCredential(value: unknown): value is TokenCredential {
  return (
    typeof value === 'object' &&
    value !== null &&
    'getToken' in value &&
    typeof value.getToken === 'function'
  )
}

/** The same credential, whose search for a token ends with the request that it is for. */
export function stoppable(credential: TokenCredential): TokenCredential {
  return {
    async getToken(scopes, options) {
      const signal = options?.abortSignal instanceof AbortSignal ? options.abortSignal : undefined
      return untilAborted(credential.getToken(scopes, options), signal)
    },
  }
}

/**
 * The identity of this machine or user: a service principal or a workload identity that `env`
 * names, else the SDK's DefaultAzureCredential. `@azure/identity` is loaded when the first token
 * is asked for.
 */
export function defaultCredential(env: Environment): TokenCredential {
  let credential: Promise<TokenCredential> | undefined
  return {
    async getToken(scopes, options) {
      credential ??= loadCredential(env)
      return (await credential).getToken(scopes, options)
    },
  }
}

/**
 * What `env` spells out is built from it, since the SDK would look at the process's own variables.
 * The rest (a managed identity, a developer's login) belongs to the machine, and the SDK finds it.
 */
async function loadCredential(env: Environment): Promise<TokenCredential> {
  const identity = await import('@azure/identity')
  const tenantId = env['AZURE_TENANT_ID']
  const clientId = env['AZURE_CLIENT_ID']
  const authorityHost = env['AZURE_AUTHORITY_HOST']
  const options = authorityHost ? { authorityHost } : {}
  if (tenantId && clientId) {
    const clientSecret = env['AZURE_CLIENT_SECRET']
    if (clientSecret) {
      return new identity.ClientSecretCredential(tenantId, clientId, clientSecret, options)
    }
    const certificatePath = env['AZURE_CLIENT_CERTIFICATE_PATH']
    if (certificatePath) {
      const certificatePassword = env['AZURE_CLIENT_CERTIFICATE_PASSWORD']
      const certificate = { certificatePath, ...(certificatePassword && { certificatePassword }) }
      return new identity.ClientCertificateCredential(tenantId, clientId, certificate, options)
    }
    const tokenFilePath = env['AZURE_FEDERATED_TOKEN_FILE']
    if (tokenFilePath) {
      return new identity.WorkloadIdentityCredential({
        ...options,
        tenantId,
        clientId,
        tokenFilePath,
      })
    }
  }
  return new identity.DefaultAzureCredential({
    ...options,
    ...(tenantId && { tenantId }),
    ...(clientId && { managedIdentityClientId: clientId }),
  })
}
