import { createHash } from 'node:crypto'
import { type BackendOptions, type JsonObject, S3loError } from '@s3lo/core/plugin'
import { networkFailure, untilAborted } from '@s3lo/core/transfer'
import { findCredentialFile, namedCredentialFile } from './credential-file.ts'
import { type Endpoint, isLoopback } from './endpoint.ts'
import { TokenError } from './errors.ts'
import { keySigner, type Signer } from './signer.ts'
import {
  clientOf,
  type ImpersonatedAccount,
  impersonatedAccount,
  isRequestClient,
  postJson,
  SCOPE,
  type TokenClient,
} from './token-client.ts'

/** In whose name requests are sent. */
export interface Access {
  /** Equal where the same credentials are used. */
  readonly identity: unknown
  /** What authorises a request; empty without credentials. Throws {@link TokenError}. */
  readonly headers: (signal: AbortSignal) => Promise<Readonly<Record<string, string>>>
  /** Signs URLs, where the credentials can. */
  readonly signer?: Signer | undefined
  /** The project that pays for requests to a bucket whose requester pays. */
  readonly userProject?: string | undefined
  /** When the token ends that `headers` gave last, where that is known. */
  readonly expiresAt?: (() => Promise<Date | undefined>) | undefined
}

/** Where service accounts sign. */
function serviceAccounts({ universe }: Endpoint): string {
  return `https://iamcredentials.${universe}/v1/projects/-/serviceAccounts`
}

/**
 * Application Default Credentials of `env`: a credential file (a service account's key, a user's
 * login, workload identity federation, impersonation), else the metadata server. `credentials`
 * goes before them: a client of google-auth-library or the content of a credential file. Asks no
 * service yet. Throws `UNAUTHORIZED` and `USAGE`.
 */
export async function findAccess(
  { env, credentials }: BackendOptions,
  endpoint: Endpoint,
): Promise<Access> {
  const userProject = env['GOOGLE_CLOUD_QUOTA_PROJECT']?.trim() || undefined
  const access = await accessOf(env, credentials, endpoint)
  const signer = access.signer ?? iamSigner(env, access, endpoint)
  const { identity, headers, expiresAt } = access
  return { identity, headers, signer, userProject, expiresAt }
}

interface FoundAccess extends Access {
  readonly client?: (() => Promise<TokenClient>) | undefined
  /** The service account that is impersonated. */
  readonly account?: ImpersonatedAccount | undefined
}

async function accessOf(
  env: BackendOptions['env'],
  credentials: unknown,
  endpoint: Endpoint,
): Promise<FoundAccess> {
  if (credentials !== undefined) {
    assertPrivate(endpoint)
    if (isTokenClient(credentials)) return accessBy(credentials, async () => credentials)
    return accessByFile(givenFile(credentials), endpoint)
  }
  if (endpoint.isAnonymous) {
    const file = await namedCredentialFile(env)
    return { identity: 'anonymous', headers: async () => ({}), signer: file && keySigner(file) }
  }
  const file = await findCredentialFile(env)
  if (file) return accessByFile(file, endpoint)
  const asksMachine = env['METADATA_SERVER_DETECTION'] !== 'none'
  return accessBy('metadata server', asksMachine ? machineClient : noClient)
}

function accessByFile(file: JsonObject, { origin }: Endpoint): FoundAccess {
  const signer = keySigner(file)
  const access = accessBy(identityOf(file), async () => clientOf(file, origin))
  return { ...access, signer, account: impersonatedAccount(file) }
}

/** Two backends read the same file twice. */
function identityOf(file: JsonObject): string {
  return createHash('sha256').update(JSON.stringify(file)).digest('hex')
}

function accessBy(identity: unknown, load: () => Promise<TokenClient>): FoundAccess {
  let loading: Promise<TokenClient> | undefined
  const client = (): Promise<TokenClient> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
  const headers = async (signal: AbortSignal): Promise<Record<string, string>> => {
    const given = await untilAborted(
      client().then(async (loaded) => loaded.getRequestHeaders()),
      signal,
    ).catch((error: unknown) => {
      throw toTokenError(error)
    })
    return Object.fromEntries(new Headers(given))
  }
  const expiresAt = async (): Promise<Date | undefined> => expiryOf(await client())
  return { identity, headers, client, expiresAt }
}

function expiryOf(client: TokenClient): Date | undefined {
  const held = 'credentials' in client ? client.credentials : undefined
  const date = typeof held === 'object' && held && 'expiry_date' in held && held.expiry_date
  return typeof date === 'number' ? new Date(date) : undefined
}

async function noClient(): Promise<never> {
  throw new TokenError({ isAbsent: true })
}

/** The service account of a machine in Google's cloud. */
async function machineClient(): Promise<TokenClient> {
  const { Compute, gcpMetadata } = await import('google-auth-library')
  if (!(await gcpMetadata.isAvailable())) throw new TokenError({ isAbsent: true })
  return new Compute({ scopes: [SCOPE] })
}

/**
 * Signs by the IAM Credentials API, in the name of the service account that is impersonated or that
 * S3LO_GCS_SIGNER names. Only there: it takes a permission that other users need not have.
 */
function iamSigner(
  env: BackendOptions['env'],
  { client, account }: FoundAccess,
  endpoint: Endpoint,
): Signer | undefined {
  const email = env['S3LO_GCS_SIGNER']?.trim() || account?.email
  if (!email || client === undefined) return undefined
  if (!/^[^@\s/?#]+@[^@\s/?#]+$/.test(email)) {
    throw new S3loError('USAGE', 'S3LO_GCS_SIGNER is not the address of a service account')
  }
  const isImpersonated = email === account?.email
  const base = isImpersonated
    ? account.url
    : `${serviceAccounts(endpoint)}/${encodeURIComponent(email)}`
  const url = `${base}:signBlob`
  const sign = async (text: string, signal: AbortSignal | undefined): Promise<Uint8Array> => {
    const payload = Buffer.from(text).toString('base64')
    const ask = async (): Promise<unknown> => {
      const requester = await client()
      if (!isRequestClient(requester)) throw new TokenError()
      return postJson(requester, url, { payload }, signal)
    }
    try {
      return Buffer.from(signatureIn(await untilAborted(ask(), signal)), 'base64')
    } catch (error) {
      signal?.throwIfAborted()
      const failure = toTokenError(error)
      if (failure instanceof TokenError && failure.status === 403) throw mayNotSign(email)
      if (failure instanceof TokenError && failure.status === 404) throw nobodyToSign(email)
      throw failure
    }
  }
  return { email, sign }
}

function mayNotSign(email: string): S3loError {
  return new S3loError('FORBIDDEN', `the credentials do not allow to sign as ${email}`, {
    hint: 'grant roles/iam.serviceAccountTokenCreator on that service account',
  })
}

function nobodyToSign(email: string): S3loError {
  return new S3loError('UNAUTHORIZED', `there is no Google service account ${email}`, {
    hint: 'check S3LO_GCS_SIGNER, or the account that is impersonated',
  })
}

function signatureIn(data: unknown): string {
  const signed = typeof data === 'object' && data && 'signedBlob' in data && data.signedBlob
  if (typeof signed === 'string') return signed
  throw new TokenError()
}

/** What the library throws holds the request, and with it a token or a key. */
function toTokenError(error: unknown): unknown {
  if (error instanceof TokenError || error instanceof S3loError) return error
  const response = error instanceof Error && 'response' in error ? error.response : undefined
  if (typeof response === 'object' && response && 'status' in response) {
    const headers = 'headers' in response ? response.headers : undefined
    const date = hasGet(headers) ? (headers.get('date') ?? undefined) : undefined
    return new TokenError({ status: Number(response.status), date })
  }
  return networkFailure(error, '') ? error : new TokenError()
}

/** The library brings a class of its own for headers. */
function hasGet(headers: unknown): headers is Pick<Headers, 'get'> {
  return typeof headers === 'object' && headers !== null && 'get' in headers
}

function assertPrivate(endpoint: Endpoint): void {
  if (endpoint.origin.startsWith('https:') || isLoopback(endpoint)) return
  throw new S3loError('USAGE', `a token cannot be sent to ${endpoint.origin}, which is not https`, {
    hint: 'give no credentials for an emulator',
  })
}

function givenFile(credentials: unknown): JsonObject {
  if (typeof credentials === 'object' && credentials && 'type' in credentials) {
    return { ...credentials }
  }
  throw new S3loError('USAGE', 'the credentials given for Google are of an unknown kind', {
    hint: 'give a client of google-auth-library, or the content of a credential file',
  })
}

function isTokenClient(value: unknown): value is TokenClient {
  return (
    typeof value === 'object' &&
    value !== null &&
    'getRequestHeaders' in value &&
    typeof value.getRequestHeaders === 'function'
  )
}
