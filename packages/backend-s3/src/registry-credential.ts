import { createHash } from 'node:crypto'
import {
  asObject,
  isS3loError,
  type JsonObject,
  parseJson,
  type RegistryCredential,
  type RegistryCredentialOptions,
  S3loError,
} from '@s3lo/core/plugin'
import {
  type Attempt,
  DEFAULT_RETRY_POLICY,
  type HttpClient,
  readAnswer,
  Requests,
  untilAborted,
} from '@s3lo/core/transfer'
import { httpClient } from './connections.ts'
import { findCredentials } from './credentials.ts'
import { areCredentialsAbsent, RefusalError, toFailure } from './errors.ts'
import { type Profile, readProfile } from './profile.ts'
import { type Credentials, signatureHeaders } from './signature.ts'

type Environment = RegistryCredentialOptions['env']

const PUBLIC_HOST = 'public.ecr.aws'
/** The one region that has the service of public registries. */
const PUBLIC_REGION = 'us-east-1'

const PRIVATE_API = 'AmazonEC2ContainerRegistry_V20150921'
const PUBLIC_API = 'SpencerFrontendService'
/** The body of a request that names no registry: the token is for all that the key opens. */
const ANY_TOKEN = Buffer.from('{}')
/** A token has some 2 kB. */
const MAX_ANSWER_BYTES = 256 * 1024

/** What both services answer. */
interface Authorization {
  readonly authorizationToken?: string | undefined
  readonly expiresAt?: Date | undefined
}

/** Where a token is asked for. */
interface Registry {
  readonly isPublic: boolean
  readonly region: string
  /** Of the service that knows the registry. */
  readonly endpoint: string
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
  const profile = await profileFor(registry, env)
  const requests = new Requests(DEFAULT_RETRY_POLICY, toFailure)
  const http = httpClient(env)
  let isAbsent = false
  const ask = async (attempt: Attempt): Promise<Authorization | undefined> => {
    try {
      const find = findCredentials(undefined, env, registry.region, profile)
      const credentials = await untilAborted(
        find.then((provider) => provider()),
        attempt.signal,
      )
      return await authorize({ http, env, registry, credentials }, attempt)
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
  } finally {
    http.close()
  }
}

/** What is public needs no profile, and so none that is there. */
async function profileFor({ isPublic }: Registry, env: Environment): Promise<Profile | undefined> {
  try {
    return await readProfile(env)
  } catch (error) {
    if (isPublic && isS3loError(error, 'USAGE')) return undefined
    throw error
  }
}

function parseHost(host: string): Registry | undefined {
  if (host === PUBLIC_HOST) {
    const endpoint = `https://api.ecr-public.${PUBLIC_REGION}.amazonaws.com`
    return { isPublic: true, region: PUBLIC_REGION, endpoint }
  }
  const [, fips = '', region, domain] =
    /^\d{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$/.exec(host) ??
    /^\d{12}\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.on\.aws$/.exec(host) ??
    []
  if (region === undefined) return undefined
  const endpoint =
    domain === undefined
      ? `https://ecr${fips}.${region}.api.aws`
      : `https://api.ecr${fips}.${region}.${domain}`
  return { isPublic: false, region, endpoint }
}

interface Asking {
  readonly http: HttpClient
  readonly env: Environment
  readonly registry: Registry
  readonly credentials: Credentials
}

/** Asks the service that knows the registry, by one request of the JSON protocol of AWS. */
async function authorize(
  { http, env, registry, credentials }: Asking,
  attempt: Attempt,
): Promise<Authorization | undefined> {
  const { isPublic, region } = registry
  const named = env[isPublic ? 'AWS_ENDPOINT_URL_ECR_PUBLIC' : 'AWS_ENDPOINT_URL_ECR']
  const url = new URL(named || registry.endpoint)
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': `${isPublic ? PUBLIC_API : PRIVATE_API}.GetAuthorizationToken`,
  }
  const unsigned = { method: 'POST', host: url.host, path: url.pathname, query: {}, headers }
  const service = isPublic ? 'ecr-public' : 'ecr'
  const scope = { credentials, region, service, date: new Date() } as const
  const payload = createHash('sha256').update(ANY_TOKEN).digest('hex')
  const signed = { ...headers, ...signatureHeaders(unsigned, scope, payload) }
  const outgoing = {
    method: 'POST',
    path: url.pathname,
    headers: signed,
    body: [ANY_TOKEN],
  } as const
  const incoming = await http.send(url, outgoing, attempt)
  const text = (await readAnswer(incoming, MAX_ANSWER_BYTES, attempt.progress)).toString()
  const { statusCode = 0 } = incoming
  const answerHeaders = incoming.headers as Readonly<Record<string, string>>
  if (statusCode >= 300) {
    throw new RefusalError(statusCode, answerHeaders, { code: codeIn(text), region: undefined })
  }
  return authorizationIn(text)
}

/** The code of a refusal; some services set it off from a namespace. */
function codeIn(text: string): string | undefined {
  const type = stringAt(parsed(text), '__type')
  return type?.replace(/^.*#/, '')
}

function authorizationIn(text: string): Authorization | undefined {
  const answer = parsed(text)?.['authorizationData']
  const [data] = Array.isArray(answer) ? answer : [answer]
  if (typeof data !== 'object' || data === null) return undefined
  const seconds = (data as JsonObject)['expiresAt']
  return {
    authorizationToken: stringAt(data as JsonObject, 'authorizationToken'),
    expiresAt: typeof seconds === 'number' ? new Date(seconds * 1000) : undefined,
  }
}

/** `undefined` for what is no JSON object: a page of a proxy. */
function parsed(text: string): JsonObject | undefined {
  try {
    return asObject(parseJson(Buffer.from(text), 'an answer of ECR'), 'an answer of ECR')
  } catch {
    return undefined
  }
}

function stringAt(object: JsonObject | undefined, name: string): string | undefined {
  const value = object?.[name]
  return typeof value === 'string' ? value : undefined
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
