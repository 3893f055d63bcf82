import { asString, type JsonObject, optional, S3loError } from '@s3lo/core/plugin'
import { TokenError } from './errors.ts'

/** The clients of google-auth-library, as far as they are used here. */
export interface TokenClient {
  getRequestHeaders(): Promise<Headers | Record<string, string>>
}

/** A client that also sends requests in its own name. */
export interface RequestClient extends TokenClient {
  request(options: {
    readonly url: string
    readonly method: 'POST'
    /** JSON. */
    readonly data: string
    readonly headers: { readonly 'content-type': 'application/json' }
    readonly signal?: AbortSignal
  }): Promise<{ readonly data: unknown }>
}

/** The only one that allows to change an object's metadata, and to have URLs signed. */
export const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
const TOKEN_URL = 'https://oauth2.googleapis.com/token'
/** A token is asked for anew when it has less left than this. */
const SHORTEST_MS = 5 * 60_000
const LONGEST_REASON = 300

/** The kinds of credential files, by `type`. */
const CLIENTS: Readonly<
  Record<string, (file: JsonObject, audience: string) => Promise<RequestClient>>
> = {
  gdch_service_account: gdchClient,
  service_account: serviceAccountClient,
  authorized_user: userClient,
  external_account: federatedClient,
  external_account_authorized_user: workforceClient,
  impersonated_service_account: impersonatedClient,
}

/**
 * The client for a credential file. Loads google-auth-library, whose own function for this warns
 * of every file on the console. `audience` is the service that tokens are for, where they are for
 * one only. Throws `UNAUTHORIZED` for a kind of file that it does not know.
 */
export async function clientOf(file: JsonObject, audience: string): Promise<RequestClient> {
  const { type } = file
  const make = typeof type === 'string' && Object.hasOwn(CLIENTS, type) ? CLIENTS[type] : undefined
  if (make) return make(file, audience)
  throw new S3loError('UNAUTHORIZED', 'the Google credential file is of an unknown kind', {
    hint: `use one of ${Object.keys(CLIENTS).join(', ')}`,
  })
}

/** Posts JSON in the name of a client. */
export async function postJson(
  client: RequestClient,
  url: string,
  content: unknown,
  signal?: AbortSignal,
): Promise<unknown> {
  const { data } = await client.request({
    url,
    method: 'POST',
    data: JSON.stringify(content),
    headers: { 'content-type': 'application/json' },
    ...(signal && { signal }),
  })
  return data
}

/** True for a client that can send requests. */
export function isRequestClient(client: TokenClient): client is RequestClient {
  return 'request' in client && typeof client.request === 'function'
}

/** The service account that an impersonating file names, and where the service knows it. */
export interface ImpersonatedAccount {
  readonly email: string
  /** Without the `:generateAccessToken` at its end. */
  readonly url: string
}

/** `undefined` for a file without an account to impersonate. */
export function impersonatedAccount(file: JsonObject): ImpersonatedAccount | undefined {
  if (file['type'] !== 'impersonated_service_account') return undefined
  const address = text(file, 'service_account_impersonation_url') ?? ''
  const [, url, email] =
    /^((?:https:\/\/|http:\/\/127\.0\.0\.1:)[^?#]*\/serviceAccounts\/([^/?#:]+)):generateAccessToken$/.exec(
      address,
    ) ?? []
  if (url === undefined || email === undefined) {
    throw new S3loError(
      'UNAUTHORIZED',
      'the Google credential file names no account to impersonate',
      {
        hint: 'log in with: gcloud auth application-default login --impersonate-service-account EMAIL',
      },
    )
  }
  return { url, email: decodeURIComponent(email) }
}

async function serviceAccountClient(file: JsonObject): Promise<RequestClient> {
  const { gaxios, JWT } = await import('google-auth-library')
  const transporter = new gaxios.Gaxios()
  const tokenUri = text(file, 'token_uri')
  if (tokenUri !== undefined && URL.canParse(tokenUri)) {
    transporter.interceptors.request.add({
      resolved: async (request) => {
        // The library asks Google, even if the file names another service; Google's other libraries ask there.
        if (String(request.url) === TOKEN_URL) request.url = new URL(tokenUri)
        return request
      },
    })
  }
  const client = new JWT({ transporter, scopes: [SCOPE] })
  client.fromJSON(file)
  return client
}

async function userClient(file: JsonObject): Promise<RequestClient> {
  const { UserRefreshClient } = await import('google-auth-library')
  return UserRefreshClient.fromJSON(file)
}

/** A service identity of Google Distributed Cloud, whose tokens are for one service only. */
async function gdchClient(file: JsonObject, audience: string): Promise<RequestClient> {
  const { GdchClient } = await import('google-auth-library')
  const client = new GdchClient({ apiAudience: audience })
  client.fromJSON(file as unknown as Parameters<typeof client.fromJSON>[0])
  return client
}

/** Workload identity federation: another identity provider's token is exchanged for Google's. */
async function federatedClient(file: JsonObject): Promise<RequestClient> {
  const { AwsClient, IdentityPoolClient, PluggableAuthClient } = await import('google-auth-library')
  const source = file['credential_source']
  const names = typeof source === 'object' && source !== null ? source : {}
  // The library checks the members, and says what is missing.
  const options = { ...file, scopes: [SCOPE] } as unknown
  if ('environment_id' in names) {
    return new AwsClient(options as ConstructorParameters<typeof AwsClient>[0])
  }
  if ('executable' in names) {
    type Options = ConstructorParameters<typeof PluggableAuthClient>[0]
    return withReason(new PluggableAuthClient(options as Options))
  }
  return new IdentityPoolClient(options as ConstructorParameters<typeof IdentityPoolClient>[0])
}

/** The program that gives the tokens, or the library that may not run it, says why there are none. */
function withReason<C extends RequestClient>(client: C): C {
  const getRequestHeaders = client.getRequestHeaders.bind(client)
  client.getRequestHeaders = async () => {
    try {
      return await getRequestHeaders()
    } catch (error) {
      // An answer of Google holds the request, and says enough by its status.
      if (!(error instanceof Error) || 'response' in error) throw error
      const [reason = ''] = error.message.split('\n')
      throw new TokenError({ reason: reason.slice(0, LONGEST_REASON) })
    }
  }
  return client
}

async function workforceClient(file: JsonObject): Promise<RequestClient> {
  const { ExternalAccountAuthorizedUserClient: Client } = await import('google-auth-library')
  return new Client({ ...file } as unknown as ConstructorParameters<typeof Client>[0])
}

/** Another account's credentials, with which a service account's tokens are asked for. */
async function impersonatedClient(file: JsonObject, audience: string): Promise<RequestClient> {
  const { source_credentials: source, delegates } = file
  const account = impersonatedAccount(file)
  const client = await clientOf(typeof source === 'object' ? { ...source } : {}, audience)
  const wanted = { scope: [SCOPE], ...(Array.isArray(delegates) && { delegates }) }
  let token: ImpersonatedToken | undefined
  const impersonated = {
    get credentials(): ImpersonatedToken | undefined {
      return token
    },
    async getRequestHeaders(): Promise<Record<string, string>> {
      if (!token || token.expiry_date - Date.now() < SHORTEST_MS) {
        token = tokenIn(await postJson(client, `${account?.url}:generateAccessToken`, wanted))
      }
      return { authorization: `Bearer ${token.text}` }
    },
    // The account that may have tokens made may have URLs signed as well.
    request: (options: Parameters<RequestClient['request']>[0]) => client.request(options),
  }
  return impersonated
}

interface ImpersonatedToken {
  readonly text: string
  /** Named as the library names it (milliseconds since 1970). */
  readonly expiry_date: number
}

function tokenIn(data: unknown): ImpersonatedToken {
  if (typeof data === 'object' && data && 'accessToken' in data && 'expireTime' in data) {
    const { accessToken, expireTime } = data
    const expiry = Date.parse(String(expireTime))
    if (typeof accessToken === 'string' && !Number.isNaN(expiry)) {
      return { text: accessToken, expiry_date: expiry }
    }
  }
  throw new TokenError()
}

function text(file: JsonObject, name: string): string | undefined {
  return optional(file, name, 'the credential file', asString)
}
