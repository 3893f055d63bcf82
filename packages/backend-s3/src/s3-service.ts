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
import {
  type AddressKind,
  addressOf,
  type BucketAddress,
  isDirectory,
  realRegion,
} from './address.ts'
import type { AnswerHeaders, S3Answer } from './answer-check.ts'
import { httpClient } from './connections.ts'
import {
  type CredentialProvider,
  findCredentials,
  type GivenCredentials,
  parseCredentials,
} from './credentials.ts'
import { sessionKeys } from './directory-session.ts'
import { resolveEndpoint, type S3Endpoint } from './endpoint.ts'
import { type Profile, readProfile } from './profile.ts'
import { presignedUrl, type S3Request, sendRequest, signRequest } from './s3-request.ts'
import type { Credentials, SigningScope } from './signature.ts'

/** The region of a request where no setting names one. */
const DEFAULT_REGION = 'us-east-1'
/** Services accept requests that are 15 minutes off; their clock is followed from here on. */
const CLOCK_TOLERANCE_MS = 300_000

/** What is found out before the first request. */
interface Settings {
  readonly credentials: CredentialProvider
  /** Those of requests about objects: a directory bucket wants them to be of a session. */
  readonly objectCredentials: CredentialProvider
  readonly addressKind: AddressKind
}

/** Where a request goes, and what it is signed with. */
interface Target {
  readonly address: BucketAddress
  readonly scope: SigningScope
}

/** One bucket's service, in the bucket's own region, and every way of sending a request to it. */
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

  /** The answer to a request, in one attempt. Throws what `requests` understands. */
  async request(request: S3Request, attempt: Attempt): Promise<S3Answer> {
    return this.#send(request, await untilAborted(this.#target(), attempt.signal), attempt)
  }

  /** The answer to a call. Throws an s3lo error, or the signal's reason. */
  async call<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    try {
      return await this.tryCall(settings, call)
    } catch (error) {
      throw toThrown(error)
    }
  }

  /** As {@link call}, but throws a `RequestError`. Where the bucket is elsewhere, requests go there. */
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
    await this.call(settings, (attempt) => this.findBucket(attempt))
    this.#isBucketSeen = true
  }

  /** Sends one request; throws what {@link request} throws, and `NOT_FOUND` of the bucket. */
  async findBucket(attempt: Attempt): Promise<void> {
    try {
      await this.request({ operation: 'HeadBucket' }, attempt)
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

  /** A URL that reads an object for so many seconds. Throws as {@link call} does. */
  async presign(key: string, seconds: number, settings: CallSettings): Promise<string> {
    // A signature cannot move to another region later, so AWS has to be asked where the bucket is.
    if (this.endpoint.isAws) await this.assertBucket(settings)
    return this.#withoutRequest(settings, async () => {
      const { address, scope } = await this.#target()
      return presignedUrl(key, address, scope, seconds)
    })
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
    const { isFips, isDualStack } = profile?.addressKind ?? { isFips: false, isDualStack: false }
    const named = realRegion(this.#region)
    if (this.endpoint.isAws) this.#region = named.region
    const credentials = await findCredentials(this.#given, this.#env, this.#region, profile)
    return {
      credentials,
      objectCredentials: isDirectory(this.endpoint, this.bucket)
        ? this.#sessionKeys(credentials)
        : credentials,
      addressKind: { isFips: isFips || named.isFips, isDualStack },
    }
  }

  /** Read where something can depend on it. */
  async #profile(): Promise<Profile | undefined> {
    const hasKey = this.#given !== undefined || this.#env['AWS_ACCESS_KEY_ID']
    return this.endpoint.isAws || !hasKey ? readProfile(this.#env) : undefined
  }

  /** Where requests go now, and what they are signed with. */
  async #target(): Promise<Target> {
    const { objectCredentials } = await this.#prepared()
    return this.#targetFor(await objectCredentials())
  }

  async #targetFor(credentials: Credentials): Promise<Target> {
    const { addressKind } = await this.#prepared()
    const region = this.#region
    const date = new Date(Date.now() + this.#clockOffsetMs)
    const address = addressOf(this.endpoint, this.bucket, region, addressKind)
    return { address, scope: { credentials, region, date } }
  }

  #sessionKeys(credentials: CredentialProvider): CredentialProvider {
    return sessionKeys(
      async (request, attempt) =>
        this.#send(request, await this.#targetFor(await credentials()), attempt),
      this.requests.policy.stallMs,
    )
  }

  #send(request: S3Request, { address, scope }: Target, attempt: Attempt): Promise<S3Answer> {
    const signed = signRequest(request, address, scope)
    return sendRequest(this.#http, request, signed, attempt, (headers) => this.#learn(headers))
  }

  #learn({ server, date }: AnswerHeaders): void {
    this.#serverName = server ?? ''
    const offset = Date.parse(date ?? '') - Date.now()
    // The clock that a signature is judged by is the service's.
    if (Math.abs(offset - this.#clockOffsetMs) >= CLOCK_TOLERANCE_MS) this.#clockOffsetMs = offset
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
        this.request({ operation: 'HeadBucket' }, attempt),
      )
      return regionName(headers['x-amz-bucket-region'])
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const region = regionOf(error.failure)
      if (region !== undefined) return region
    }
    try {
      const { document } = await this.requests.trySend(settings, (attempt) =>
        this.request({ operation: 'GetBucketLocation', query: { location: '' } }, attempt),
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
