import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
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
} from '@s3lo/core/transfer'
import { resolveEndpoint, type S3Endpoint } from './endpoint.ts'
import { addDate, signUntil } from './request-middleware.ts'

/** What opens S3: an access key, or whatever gives one. */
type Credentials = NonNullable<S3ClientConfig['credentials']>

/** Connections at once; parts and small objects share them. */
const MOST_SOCKETS = 64
const CONNECT_MS = 10_000
/** The longest that a signature in the query can hold. */
const LONGEST_SIGNATURE_S = 7 * 24 * 3600
const DEFAULT_REGION = 'us-east-1'

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
  #isRegionKnown = false
  #isBucketSeen = false

  constructor(bucket: string, options: BackendOptions, requests: Requests) {
    this.bucket = bucket
    this.requests = requests
    this.endpoint = resolveEndpoint(options)
    this.#config = clientConfig(options, this.endpoint)
    this.#client = newClient(this.#config)
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
    const sendOnce = (): Promise<T> =>
      this.requests.trySend(settings, (attempt) => call(this.#client, attempt))
    try {
      await this.#prepareClient()
      const answer = await sendOnce()
      this.#isBucketSeen = true
      return answer
    } catch (error) {
      if (!(await this.#moveToRegion(error, settings))) throw error
      return sendOnce()
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
    try {
      await this.trySend(settings, (client, attempt) =>
        client.send(new HeadBucketCommand({ Bucket: this.bucket }), {
          abortSignal: attempt.signal,
        }),
      )
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      if (error.failure.status === 404) throw missingBucket(this.bucket)
      // Whoever may not look at the bucket may look at an object all the same.
      if (error.failure.status !== 403) throw toThrown(error)
    }
    this.#isBucketSeen = true
  }

  /** True when a copy from there to here needs no bytes to pass through this process. */
  async isSameAccount(other: S3Service): Promise<boolean> {
    if (this.endpoint.name !== other.endpoint.name) return false
    const [ours, theirs] = await Promise.all([
      this.#client.config.credentials(),
      other.#client.config.credentials(),
    ])
    return ours.accessKeyId === theirs.accessKeyId
  }

  /** The SDK's client, for what signs and sends nothing. */
  async client(): Promise<S3Client> {
    await this.#prepareClient()
    return this.#client
  }

  close(): void {
    this.#client.destroy()
  }

  /** Without a region in the settings or the profile, AWS tells the right one to whoever asks in a wrong one. */
  async #prepareClient(): Promise<void> {
    if (this.#isRegionKnown) return
    try {
      await this.#client.config.region()
    } catch {
      // The SDK knows none: that is no failure.
      this.#useRegion(DEFAULT_REGION)
    }
    this.#isRegionKnown = true
  }

  /** True when the bucket is elsewhere and the client has moved there, so that the command can be sent again. */
  async #moveToRegion(error: unknown, { signal }: CallSettings): Promise<boolean> {
    if (!this.endpoint.isAws || !(error instanceof RequestError)) return false
    const { failure } = error
    if (!isWrongRegion(failure)) return false
    const current = await this.#client.config.region()
    const region = regionOf(failure) ?? (await this.#askForRegion(signal))
    if (region === undefined || region === current) return false
    this.#useRegion(region)
    return true
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
    const { LocationConstraint: place } = await this.requests.send(settings, (attempt) =>
      this.#client.send(new GetBucketLocationCommand({ Bucket }), { abortSignal: attempt.signal }),
    )
    return (place as string | undefined) === 'EU' ? 'eu-west-1' : place || DEFAULT_REGION
  }

  #useRegion(region: string): void {
    this.#client.destroy()
    this.#client = newClient({ ...this.#config, region })
    this.#isRegionKnown = true
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
      // Some services refuse a content type that the signature does not cover.
      signableHeaders: new Set(['content-type', 'content-md5', 'if-match', 'if-none-match']),
    })
  }
}

function newClient(config: S3ClientConfig): S3Client {
  const client = new S3Client(config)
  addDate(client)
  return client
}

function clientConfig(
  { env, region, credentials }: BackendOptions,
  { url, isAws }: S3Endpoint,
): S3ClientConfig {
  const wantedRegion = region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION']
  const found = givenCredentials(credentials) ?? environmentCredentials(env)
  const checks = isAws ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  return {
    maxAttempts: 1,
    ...(url !== undefined && { endpoint: url, forcePathStyle: !isAws }),
    ...(wantedRegion ? { region: wantedRegion } : !isAws && { region: DEFAULT_REGION }),
    ...(found && { credentials: found }),
    ...(env['AWS_PROFILE'] && { profile: env['AWS_PROFILE'] }),
    // Others than AWS stumble over checksums that they do not know; there, Content-MD5 guards.
    requestChecksumCalculation: checks,
    // Every blob is verified by its digest, which says more.
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    customUserAgent: 's3lo',
    requestHandler: httpHandler(env['AWS_CA_BUNDLE']),
  }
}

function httpHandler(caFile: string | undefined): NonNullable<S3ClientConfig['requestHandler']> {
  const agent = { keepAlive: true, maxSockets: MOST_SOCKETS }
  return {
    connectionTimeout: CONNECT_MS,
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent({ ...agent, ...(caFile && { ca: readCa(caFile) }) }),
  }
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new S3loError('USAGE', `the CA file ${file} cannot be read`, {
      hint: 'correct AWS_CA_BUNDLE',
      cause: error,
    })
  }
}

function givenCredentials(given: unknown): Credentials | undefined {
  if (given === undefined) return undefined
  if (typeof given === 'function') return given as Extract<Credentials, () => unknown>
  if (
    typeof given === 'object' &&
    given !== null &&
    'accessKeyId' in given &&
    typeof given.accessKeyId === 'string' &&
    'secretAccessKey' in given &&
    typeof given.secretAccessKey === 'string'
  ) {
    const { accessKeyId, secretAccessKey } = given
    const token = 'sessionToken' in given ? given.sessionToken : undefined
    return {
      accessKeyId,
      secretAccessKey,
      ...(typeof token === 'string' && { sessionToken: token }),
    }
  }
  throw new S3loError('USAGE', 'the credentials given for S3 are of an unknown kind', {
    hint: 'give { accessKeyId, secretAccessKey, sessionToken? } or a provider of the AWS SDK',
  })
}

/** What `env` spells out: the SDK would look at the process's own variables. */
function environmentCredentials(env: BackendOptions['env']): Credentials | undefined {
  const accessKeyId = env['AWS_ACCESS_KEY_ID']
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY']
  const sessionToken = env['AWS_SESSION_TOKEN']
  if (!accessKeyId || !secretAccessKey) return undefined
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
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
