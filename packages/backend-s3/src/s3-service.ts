import {
  GetBucketLocationCommand,
  HeadBucketCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type CallSettings,
  type Failure,
  RequestError,
  type Requests,
  toThrown,
  untilAborted,
} from '@s3lo/core/transfer'
import { addAnswerCheck } from './answer-check.ts'
import { clientConfig, DEFAULT_REGION } from './client-config.ts'
import { resolveEndpoint, type S3Endpoint } from './endpoint.ts'
import { addDate, signUntil } from './request-middleware.ts'

/** The longest that a signature in the query can hold. */
export const LONGEST_SIGNATURE_S = 7 * 24 * 3600

/** How a command is sent. */
export interface SendSettings extends CallSettings {
  /** The service refuses it after this moment. */
  readonly notAfter?: Date | undefined
}

/**
 * One bucket's service: the SDK's client, in the bucket's own region, and every way of sending a
 * command to it. The SDK itself tries once; `Requests` has to know which attempts there were.
 */
export class S3Service {
  readonly bucket: string
  readonly endpoint: S3Endpoint
  readonly requests: Requests
  readonly #config: S3ClientConfig
  #client: S3Client
  #serverName = ''
  #isPrepared = false
  #isBucketSeen = false

  constructor(bucket: string, options: BackendOptions, requests: Requests) {
    this.bucket = bucket
    this.requests = requests
    this.endpoint = resolveEndpoint(options)
    this.#config = clientConfig(options, this.endpoint)
    this.#client = this.#newClient(this.#config)
  }

  /** The present one: a bucket in another region gets another client. */
  get client(): S3Client {
    return this.#client
  }

  /** What the service has called itself in its last answer: its name and perhaps its version. */
  get serverName(): string {
    return this.#serverName
  }

  /** Names an object in messages. */
  nameOf(key: string): string {
    return `s3://${this.bucket}/${key}`
  }

  /** The answer to a command. Throws an s3lo error, or the signal's reason. */
  async send<T>(
    settings: SendSettings,
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
    settings: SendSettings,
    call: (client: S3Client, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    await this.#prepareClient()
    const sender = this.#client
    try {
      return await this.#sendBy(sender, settings, call)
    } catch (error) {
      if (!(await this.#moveToRegion(sender, error, settings))) throw error
      return this.#sendBy(this.#client, settings, call)
    }
  }

  /** Adds to a command that the service refuses it after `notAfter`, by its own clock. */
  until<C extends object>(command: C, notAfter: Date | undefined): C {
    if (notAfter !== undefined) signUntil(command, (request) => this.#presign(request, notAfter))
    return command
  }

  /** Throws `NOT_FOUND` unless the bucket exists: a HEAD without an answer's body cannot tell. */
  async assertBucket({ signal }: Pick<CallSettings, 'signal'>): Promise<void> {
    if (this.#isBucketSeen) return
    const settings = { what: `s3://${this.bucket}`, signal }
    await this.send(settings, (client, attempt) => this.findBucket(client, attempt.signal))
    this.#isBucketSeen = true
  }

  /** Sends one request; throws what the client throws, and `NOT_FOUND` of the bucket. */
  async findBucket(client: S3Client, abortSignal: AbortSignal): Promise<void> {
    try {
      await client.send(new HeadBucketCommand({ Bucket: this.bucket }), { abortSignal })
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
    await this.#prepareClient()
    // A signature cannot move to another region later, so AWS has to be asked where the bucket is.
    if (this.endpoint.isAws) await this.assertBucket(settings)
    return this.#withoutRequest(settings, () => sign(this.#client))
  }

  close(): void {
    this.#client.destroy()
  }

  async #sendBy<T>(
    client: S3Client,
    settings: SendSettings,
    call: (client: S3Client, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const answer = await this.requests.trySend(settings, async (attempt) => {
      // The SDK remembers what it finds, but its search hears no signal.
      await untilAborted(client.config.credentials(), attempt.signal)
      return call(client, attempt)
    })
    this.#isBucketSeen = true
    return answer
  }

  async #accessKey(signal: AbortSignal | undefined): Promise<string> {
    const { config } = this.#client
    const settings = { what: `s3://${this.bucket}`, signal }
    const { accessKeyId } = await this.#withoutRequest(settings, () => config.credentials())
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

  /** Without a region in the settings or the profile, AWS names the right one when it is asked in a wrong one. */
  async #prepareClient(): Promise<void> {
    if (this.#isPrepared) return
    try {
      await this.#client.config.region()
    } catch {
      // The SDK knows none: that is no failure.
      this.#useRegion(DEFAULT_REGION)
    }
    this.#isPrepared = true
  }

  /** True when the bucket is elsewhere and the client has moved there, so that the command can be sent again. */
  async #moveToRegion(
    sender: S3Client,
    error: unknown,
    { signal }: CallSettings,
  ): Promise<boolean> {
    if (!this.endpoint.isAws || !(error instanceof RequestError)) return false
    const { failure } = error
    if (!isWrongRegion(failure)) return false
    // Another request has found the way meanwhile.
    if (sender !== this.#client) return true
    const region = regionOf(failure) ?? (await this.#askForRegion(signal))
    if (region === undefined) return false
    if (region !== (await this.#client.config.region())) this.#useRegion(region)
    return sender !== this.#client
  }

  /** By headers first, which need no permission. */
  async #askForRegion(signal: AbortSignal | undefined): Promise<string | undefined> {
    const settings = { what: `s3://${this.bucket}`, signal }
    const Bucket = this.bucket
    try {
      const { BucketRegion } = await this.requests.trySend(settings, (attempt) =>
        this.#client.send(new HeadBucketCommand({ Bucket }), { abortSignal: attempt.signal }),
      )
      return BucketRegion
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const region = regionOf(error.failure)
      if (region !== undefined) return region
    }
    try {
      const { LocationConstraint: place } = await this.requests.trySend(settings, (attempt) =>
        this.#client.send(new GetBucketLocationCommand({ Bucket }), {
          abortSignal: attempt.signal,
        }),
      )
      return (place as string | undefined) === 'EU' ? 'eu-west-1' : place || DEFAULT_REGION
    } catch (error) {
      // Where the place may not be asked for, the request that failed first says more.
      if (error instanceof RequestError) return undefined
      throw error
    }
  }

  /** The connections are shared, so requests that are under way continue. */
  #useRegion(region: string): void {
    this.#client = this.#newClient({ ...this.#config, region })
  }

  #newClient(config: S3ClientConfig): S3Client {
    const client = new S3Client(config)
    addDate(client, (name) => {
      this.#serverName = name
    })
    addAnswerCheck(client)
    return client
  }

  async #presign(
    request: Parameters<S3RequestPresigner['presign']>[0],
    notAfter: Date,
  ): ReturnType<S3RequestPresigner['presign']> {
    const presigner = new S3RequestPresigner({ ...this.#client.config })
    const end = Math.floor(notAfter.getTime() / 1000)
    const now = Math.floor((Date.now() + this.#client.config.systemClockOffset) / 1000)
    // Only the end counts, and it is the store's time: a wrong clock of ours moves the start alone.
    const start = Math.min(now, end - 1)
    return presigner.presign(request, {
      signingDate: new Date(start * 1000),
      expiresIn: Math.min(end - start, LONGEST_SIGNATURE_S),
      signingRegion: await this.#client.config.region(),
      unhoistableHeaders: new Set(Object.keys(request.headers).filter(isAboutObject)),
      // Some services refuse a content type that the signature does not cover.
      signableHeaders: new Set(['content-type', 'content-md5', 'if-match', 'if-none-match']),
    })
  }
}

/** What describes an object: not every service looks for that in the query, where signatures are. */
function isAboutObject(header: string): boolean {
  return /^x-amz-(meta-|storage-class$|checksum-|sdk-checksum-)/i.test(header)
}

function isWrongRegion({ status, reason = '' }: Failure): boolean {
  if (status === 301 || status === 307) return true
  // A HEAD has no body that could name the reason.
  if (status === 400) return /^(AuthorizationHeaderMalformed|BadRequest|400|)$/.test(reason)
  return reason === 'PermanentRedirect' || reason === 'AuthorizationHeaderMalformed'
}

function regionOf({ region }: Failure & { readonly region?: string }): string | undefined {
  return region !== undefined && /^[a-z0-9-]+$/.test(region) ? region : undefined
}

function missingBucket(bucket: string): S3loError {
  return new S3loError('NOT_FOUND', `s3://${bucket}: the bucket does not exist`, {
    hint: `create it: aws s3 mb s3://${bucket}`,
  })
}
