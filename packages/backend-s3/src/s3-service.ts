import type { S3Client } from '@aws-sdk/client-s3'
import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type CallSettings,
  type Failure,
  type HttpClient,
  RequestError,
  type Requests,
  toThrown,
  untilAborted,
} from '@s3lo/core/transfer'
import { addressOf } from './address.ts'
import { httpClient } from './connections.ts'
import {
  type CredentialProvider,
  findCredentials,
  type GivenCredentials,
  parseCredentials,
} from './credentials.ts'
import { resolveEndpoint, type S3Endpoint } from './endpoint.ts'
import { type Profile, readProfile } from './profile.ts'
import {
  type ReadAnswer,
  type ReadRequest,
  sendRead,
  type SignedRequest,
  signRead,
} from './read-requests.ts'
import type { Sdk } from './sdk.ts'

/** The region of a request where no setting names one. */
const DEFAULT_REGION = 'us-east-1'
/** Services accept requests that are 15 minutes off; the SDK follows their clock from here on. */
const CLOCK_TOLERANCE_MS = 300_000

/** What is found out before the first request. */
interface Settings {
  readonly credentials: CredentialProvider
  readonly hasSpecialAddresses: boolean
}

/**
 * One bucket's service, in the bucket's own region, and every way of sending a request to it. What
 * only reads is sent as it is; the SDK is loaded for the rest (`sdk`).
 */
export class S3Service {
  readonly bucket: string
  readonly endpoint: S3Endpoint
  readonly requests: Requests
  /** What it guarantees was looked for: a client may try out more. */
  isProven = false
  readonly #env: BackendOptions['env']
  readonly #given: GivenCredentials | undefined
  readonly #http: HttpClient
  #region: string
  #settings: Promise<Settings> | undefined
  #sdk: { readonly region: string; readonly loaded: Promise<Sdk> } | undefined
  #clockOffsetMs = 0
  #serverName = ''
  #isBucketSeen = false

  /** Throws `USAGE`. */
  constructor(bucket: string, options: BackendOptions, requests: Requests) {
    const { env, region, credentials } = options
    this.bucket = bucket
    this.requests = requests
    this.endpoint = resolveEndpoint(options)
    this.#env = env
    this.#given = parseCredentials(credentials)
    this.#http = httpClient(env)
    const wanted = region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION']
    this.#region = wanted || (this.endpoint.isAws ? '' : DEFAULT_REGION)
  }

  /** What the service has called itself in its last answer: its name and perhaps its version. */
  get serverName(): string {
    return this.#serverName
  }

  /** Names an object in messages. */
  nameOf(key: string): string {
    return `s3://${this.bucket}/${key}`
  }

  /** The answer to a request that reads, in one attempt. Throws what `requests` understands. */
  async read(request: ReadRequest, attempt: Attempt): Promise<ReadAnswer> {
    const signed = await untilAborted(this.#sign(request), attempt.signal)
    return sendRead(this.#http, request, signed, attempt, (headers) => this.#learn(headers))
  }

  /** The SDK's client in the bucket's region. A bucket that moves to another region gets another one. */
  async sdk(): Promise<Sdk> {
    const { credentials } = await this.#prepared()
    if (this.#sdk?.region !== this.#region) {
      this.#sdk = { region: this.#region, loaded: this.#load(this.#region, credentials) }
    }
    return this.#sdk.loaded
  }

  /** The answer to a call. Throws an s3lo error, or the signal's reason. */
  async send<T>(
    settings: CallSettings,
    call: (client: S3Client, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.trySend(settings, call)
    } catch (error) {
      throw toThrown(error)
    }
  }

  /** As {@link send}, but throws a `RequestError`, for a caller that has to tell failures apart. */
  async trySend<T>(
    settings: CallSettings,
    call: (client: S3Client, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    return this.tryCall(settings, async (attempt) => call((await this.sdk()).client, attempt))
  }

  /** As {@link trySend}, for requests of any kind: where the bucket is elsewhere, they go there. */
  async tryCall<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    let asked = ''
    const callHere = (attempt: Attempt): Promise<T> => {
      asked = this.#region
      return call(attempt)
    }
    try {
      return await this.#callNow(settings, callHere)
    } catch (error) {
      if (!(await this.#moveToRegion(asked, error, settings))) throw error
      return this.#callNow(settings, callHere)
    }
  }

  /** Throws `NOT_FOUND` unless the bucket exists: a HEAD without an answer's body cannot tell. */
  async assertBucket({ signal }: Pick<CallSettings, 'signal'>): Promise<void> {
    if (this.#isBucketSeen) return
    const settings = { what: `s3://${this.bucket}`, signal }
    try {
      await this.tryCall(settings, (attempt) => this.findBucket(attempt))
    } catch (error) {
      throw toThrown(error)
    }
    this.#isBucketSeen = true
  }

  /** Sends one request; throws what {@link read} throws, and `NOT_FOUND` of the bucket. */
  async findBucket(attempt: Attempt): Promise<void> {
    try {
      await this.read({ command: 'HeadBucketCommand' }, attempt)
    } catch (error) {
      const { status } = this.requests.toFailure(error, this.bucket)
      if (status === 404) throw missingBucket(this.bucket)
      // Credentials that do not open the bucket may open an object all the same.
      if (status !== 403) throw error
    }
  }

  /** True when a copy from there to here needs no bytes to pass through this process. */
  async isSameAccount(
    other: S3Service,
    { signal }: Pick<CallSettings, 'signal'>,
  ): Promise<boolean> {
    if (this.endpoint.name !== other.endpoint.name) return false
    const [ours, theirs] = await Promise.all([this.#accessKey(signal), other.#accessKey(signal)])
    return ours === theirs
  }

  /** What `sign` makes, in the bucket's own region. Throws as {@link send} does. */
  async sign<T>(settings: CallSettings, sign: (client: S3Client) => Promise<T>): Promise<T> {
    // A signature cannot move to another region later, so AWS has to be asked where the bucket is.
    if (this.endpoint.isAws) await this.assertBucket(settings)
    return this.#withoutRequest(settings, async () => sign((await this.sdk()).client))
  }

  close(): void {
    this.#http.close()
  }

  async #callNow<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    const answer = await this.requests.trySend(settings, async (attempt) => {
      // What was found is remembered, but the search hears no signal.
      await untilAborted(this.#credentials(), attempt.signal)
      return call(attempt)
    })
    this.#isBucketSeen = true
    return answer
  }

  async #credentials(): ReturnType<CredentialProvider> {
    return (await this.#prepared()).credentials()
  }

  async #accessKey(signal: AbortSignal | undefined): Promise<string> {
    const settings = { what: `s3://${this.bucket}`, signal }
    const { accessKeyId } = await this.#withoutRequest(settings, () => this.#credentials())
    return accessKeyId
  }

  /** Gives what fails before there is a request, such as a search for credentials, its own words. */
  async #withoutRequest<T>({ what, signal }: CallSettings, act: () => Promise<T>): Promise<T> {
    try {
      return await untilAborted(act(), signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw this.requests.toFailure(error, what).error
    }
  }

  #prepared(): Promise<Settings> {
    this.#settings ??= this.#prepare()
    return this.#settings
  }

  /** Without a region in the settings or the profile, AWS names the right one when it is asked in a wrong one. */
  async #prepare(): Promise<Settings> {
    const profile = await this.#profile()
    this.#region ||= profile?.region || DEFAULT_REGION
    const credentials = await findCredentials(this.#given, this.#env, this.#region, profile)
    return { credentials, hasSpecialAddresses: profile?.hasSpecialAddresses ?? false }
  }

  /** Read where something can depend on it. */
  async #profile(): Promise<Profile | undefined> {
    const hasKey = this.#given !== undefined || this.#env['AWS_ACCESS_KEY_ID']
    return this.endpoint.isAws || !hasKey ? readProfile(this.#env) : undefined
  }

  async #sign(request: ReadRequest): Promise<SignedRequest> {
    const { credentials, hasSpecialAddresses } = await this.#prepared()
    const address = addressOf(this.endpoint, this.bucket, this.#region)
    const isSpecial = hasSpecialAddresses && this.endpoint.url === undefined
    if (!address || isSpecial) return (await this.sdk()).signRead(request)
    const date = new Date(Date.now() + this.#clockOffsetMs)
    const scope = { credentials: await credentials(), region: this.#region, date }
    return signRead(request, address, scope)
  }

  #learn({ server, date }: ReadAnswer['headers']): void {
    this.#serverName = server ?? ''
    const offset = Date.parse(date ?? '') - Date.now()
    // The clock that a signature is judged by is the service's.
    if (Math.abs(offset - this.#clockOffsetMs) >= CLOCK_TOLERANCE_MS) this.#clockOffsetMs = offset
  }

  async #load(region: string, credentials: CredentialProvider): Promise<Sdk> {
    const { loadSdk } = await import('./changes.ts')
    return loadSdk({
      bucket: this.bucket,
      endpoint: this.endpoint,
      env: this.#env,
      region,
      credentials,
      http: this.#http,
      clockOffsetMs: this.#clockOffsetMs,
      onServer: (name) => {
        this.#serverName = name
      },
    })
  }

  /** True when the bucket is elsewhere and requests now go there, so that the call can be repeated. */
  async #moveToRegion(asked: string, error: unknown, { signal }: CallSettings): Promise<boolean> {
    if (!this.endpoint.isAws || !(error instanceof RequestError)) return false
    const { failure } = error
    if (!isWrongRegion(failure)) return false
    // Another request has found the way meanwhile.
    if (asked !== this.#region) return true
    const region = regionOf(failure) ?? (await this.#askForRegion(signal))
    if (region !== undefined) this.#region = region
    return asked !== this.#region
  }

  /** By headers first, which need no permission. */
  async #askForRegion(signal: AbortSignal | undefined): Promise<string | undefined> {
    const settings = { what: `s3://${this.bucket}`, signal }
    try {
      const { headers } = await this.requests.trySend(settings, (attempt) =>
        this.read({ command: 'HeadBucketCommand' }, attempt),
      )
      return regionName(headers['x-amz-bucket-region'])
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const region = regionOf(error.failure)
      if (region !== undefined) return region
    }
    try {
      const { document } = await this.requests.trySend(settings, (attempt) =>
        this.read({ command: 'GetBucketLocationCommand', query: { location: '' } }, attempt),
      )
      const place = document?.text.trim()
      return place === 'EU' ? 'eu-west-1' : regionName(place || DEFAULT_REGION)
    } catch (error) {
      // Where the place may not be asked for, the request that failed first says more.
      if (error instanceof RequestError) return undefined
      throw error
    }
  }
}

function isWrongRegion({ status, reason = '' }: Failure): boolean {
  if (status === 301 || status === 307) return true
  // A HEAD has no body that could name the reason.
  if (status === 400) return /^(AuthorizationHeaderMalformed|BadRequest|400|)$/.test(reason)
  return reason === 'PermanentRedirect' || reason === 'AuthorizationHeaderMalformed'
}

function regionOf({ region }: Failure & { readonly region?: string }): string | undefined {
  return regionName(region)
}

/** The region becomes a part of the host's name. */
function regionName(text: string | undefined): string | undefined {
  return text !== undefined && /^[a-z0-9-]+$/.test(text) ? text : undefined
}

function missingBucket(bucket: string): S3loError {
  return new S3loError('NOT_FOUND', `s3://${bucket}: the bucket does not exist`, {
    hint: `create it: aws s3 mb s3://${bucket}`,
  })
}
