import {
  type RegistryCredential,
  type RegistryCredentialOptions,
  S3loError,
} from '@s3lo/core/plugin'
import { type Attempt, DEFAULT_RETRY_POLICY, Requests } from '@s3lo/core/transfer'
import { defaultCredential, type TokenCredential } from './default-credential.ts'
import { isIdentityAbsent } from './errors.ts'
import { RegistryAnswerError, toRegistryFailure } from './registry-errors.ts'

/** Who logs in with a refresh token, at every registry. */
const USERNAME = '00000000-0000-0000-0000-000000000000'
/** A refresh token is a few kilobytes. */
const MOST_ANSWER_BYTES = 64 * 1024

/** What the tokens that registries take in exchange are asked for, by the registry's domain. */
const SCOPES: Readonly<Record<string, string>> = {
  'azurecr.io': 'https://containerregistry.azure.net/.default',
  'azurecr.cn': 'https://management.chinacloudapi.cn/.default',
  'azurecr.us': 'https://management.usgovcloudapi.net/.default',
}

/** How the identity's token is exchanged; a test has its own. */
export interface RegistryCredentialSettings extends RegistryCredentialOptions {
  readonly credential?: TokenCredential | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
}

/**
 * A refresh token of an Azure Container Registry, for the identity of this machine or user. The
 * identity's own token is sent to no other host. `undefined` where there is no identity; throws
 * `UNAUTHORIZED` for one that the registry refuses.
 */
export async function getRegistryCredential(
  host: string,
  settings: RegistryCredentialSettings,
): Promise<RegistryCredential | undefined> {
  const { env, signal, credential = defaultCredential(env) } = settings
  signal?.throwIfAborted()
  // The endpoints of data and of replicas have more labels, and exchange nothing.
  const [, domain = ''] = /^[a-z0-9-]{5,63}\.(azurecr\.(?:io|cn|us))$/.exec(host) ?? []
  const scope = SCOPES[domain]
  if (scope === undefined) return undefined
  const requests = new Requests(DEFAULT_RETRY_POLICY, toRegistryFailure)
  const ask = async ({ signal: abortSignal }: Attempt): Promise<string | undefined> => {
    const identity = await findToken(credential, scope, abortSignal)
    if (identity === undefined) return undefined
    return exchange(host, identity, { ...settings, signal: abortSignal })
  }
  const password = await requests.send({ what: host, signal }, ask)
  if (password === undefined) return undefined
  const expiresAt = endOf(password)
  return { username: USERNAME, password, ...(expiresAt && { expiresAt }) }
}

async function findToken(
  credential: TokenCredential,
  scope: string,
  abortSignal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await credential.getToken(scope, { abortSignal }))?.token
  } catch (error) {
    if (isIdentityAbsent(error)) return undefined
    throw error
  }
}

/** https://azure.github.io/acr/AAD-OAuth.html, "Calling POST /oauth2/exchange to get an ACR refresh token" */
async function exchange(
  host: string,
  identityToken: string,
  { env, fetch = globalThis.fetch, signal }: RegistryCredentialSettings,
): Promise<string> {
  const tenant = env['AZURE_TENANT_ID']
  const form = new URLSearchParams({
    grant_type: 'access_token',
    service: host,
    ...(tenant && { tenant }),
    access_token: identityToken,
  })
  const response = await fetch(`https://${host}/oauth2/exchange`, {
    method: 'POST',
    body: form,
    // The token must reach no other host.
    redirect: 'manual',
    ...(signal && { signal }),
  })
  if (!response.ok) {
    await response.body?.cancel()
    throw new RegistryAnswerError(response)
  }
  return refreshTokenOf(await readText(response), host)
}

async function readText(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MOST_ANSWER_BYTES) break
  }
  return text
}

function refreshTokenOf(text: string, host: string): string {
  const answer = parse(text)
  if (typeof answer === 'object' && answer !== null && 'refresh_token' in answer) {
    const { refresh_token: token } = answer
    if (typeof token === 'string' && token !== '') return token
  }
  throw new S3loError('UNAVAILABLE', `${host}: the answer to the exchange has no token`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // What is no JSON has no token either.
    return undefined
  }
}

/** The `exp` of a token (RFC 7519, 4.1.4), where it has one. */
function endOf(token: string): Date | undefined {
  const [, payload = ''] = token.split('.')
  const claims = parse(Buffer.from(payload, 'base64url').toString())
  if (typeof claims !== 'object' || claims === null || !('exp' in claims)) return undefined
  return typeof claims.exp === 'number' ? new Date(claims.exp * 1000) : undefined
}
