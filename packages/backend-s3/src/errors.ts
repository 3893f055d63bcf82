import { documentationOf, isS3loError } from '@s3lo/core/plugin'
import {
  type Failure,
  failureOf,
  ForeignAnswerError,
  foreignAnswer,
  MEANING,
  meaningOfStatus,
  type Meaning,
  networkFailure,
  refusalOf,
  withClock,
} from '@s3lo/core/transfer'

/** A failed request, with the region that the answer names. */
export interface S3Failure extends Failure {
  readonly region?: string
}

/** What the service has refused. */
export class RefusalError extends Error {
  override readonly name = 'RefusalError'
  readonly status: number
  readonly headers: Headers
  /** The service's own error code and the bucket's region, where the answer names them. */
  readonly code: string | undefined
  readonly region: string | undefined

  constructor(
    status: number,
    headers: Headers,
    { code, region }: Pick<RefusalError, 'code' | 'region'>,
  ) {
    super(`HTTP ${status}`)
    this.status = status
    this.headers = headers
    this.code = code
    this.region = region
  }
}

type Headers = Readonly<Record<string, string | undefined>>

const BAD_KEY: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'the service does not know the access key',
  hint: 'check AWS_ACCESS_KEY_ID or the profile, and that it is of this service',
}
const BAD_SECRET: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'the service does not accept the signature',
  hint: 'check the secret access key',
}
const EXPIRED: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'the credentials have expired',
  hint: 'log in again: aws sso login, or renew AWS_SESSION_TOKEN',
}
const NOT_ALLOWED: Meaning = {
  code: 'FORBIDDEN',
  text: 'the credentials do not allow this',
  hint: `the permissions that each command needs: ${documentationOf('backends/s3.md')}`,
}
const WRONG_CLOCK: Meaning = {
  code: 'UNAUTHORIZED',
  text: "this machine's clock is too far from the service's",
  hint: 'set the clock',
}
const ARCHIVED: Meaning = {
  code: 'UNSUPPORTED',
  text: 'is in an archive storage class',
  hint: 'restore it first: aws s3api restore-object',
}
const ELSEWHERE: Meaning = {
  code: 'NOT_FOUND',
  text: 'the bucket is in another region',
  hint: 'name its region in AWS_REGION',
}
const UNKNOWN_REQUEST: Meaning = {
  code: 'UNSUPPORTED',
  text: 'the service does not know this request',
}

/** What the service's error codes mean. */
const REASONS: Readonly<Record<string, Meaning>> = {
  NoSuchKey: { code: 'NOT_FOUND', text: 'does not exist' },
  NoSuchBucket: {
    code: 'NOT_FOUND',
    text: 'the bucket does not exist',
    ofBucket: true,
    hint: 'create it, or check its name and the endpoint',
  },
  NoSuchUpload: { code: 'CONFLICT', text: 'the upload was ended by another client' },
  InvalidPart: { code: 'CONFLICT', text: 'the upload was changed by another client' },
  PreconditionFailed: MEANING.lost,
  // AWS answers so to all but one of the writes that come at the same moment.
  ConditionalRequestConflict: { ...MEANING.lost, retryable: true },
  OperationAborted: MEANING.busy,
  InvalidAccessKeyId: BAD_KEY,
  InvalidClientTokenId: BAD_KEY,
  SignatureDoesNotMatch: BAD_SECRET,
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  InvalidToken: EXPIRED,
  // What the services of registries say instead.
  UnrecognizedClientException: BAD_KEY,
  InvalidSignatureException: BAD_SECRET,
  AccessDeniedException: NOT_ALLOWED,
  RequestTimeTooSkewed: WRONG_CLOCK,
  RequestExpired: WRONG_CLOCK,
  AccessDenied: NOT_ALLOWED,
  AllAccessDisabled: { ...NOT_ALLOWED, text: 'all access to the bucket is disabled' },
  AccountProblem: { ...NOT_ALLOWED, text: 'there is a problem with the account' },
  InvalidObjectState: ARCHIVED,
  PermanentRedirect: ELSEWHERE,
  AuthorizationHeaderMalformed: ELSEWHERE,
  SlowDown: MEANING.throttled,
  ServiceUnavailable: MEANING.throttled,
  InternalError: MEANING.busy,
  RequestTimeout: MEANING.busy,
  Throttling: MEANING.throttled,
  ThrottlingException: MEANING.throttled,
  RequestLimitExceeded: MEANING.throttled,
  BandwidthLimitExceeded: MEANING.throttled,
  BadDigest: MEANING.damaged,
  XAmzContentSHA256Mismatch: MEANING.damaged,
  IncompleteBody: MEANING.damaged,
  InvalidDigest: MEANING.damaged,
  KeyTooLongError: { code: 'INVALID_REFERENCE', text: 'has a name that is too long for S3' },
  InvalidStorageClass: {
    code: 'UNSUPPORTED',
    text: 'the service does not know the storage class',
  },
  NotImplemented: UNKNOWN_REQUEST,
  MethodNotAllowed: UNKNOWN_REQUEST,
  QuotaExceeded: { code: 'UNAVAILABLE', text: 'the quota of the bucket is exhausted' },
  EntityTooLarge: { code: 'UNSUPPORTED', text: 'is larger than the service takes' },
}

/** What a status means where its error code does not say more. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  301: ELSEWHERE,
  307: ELSEWHERE,
  401: BAD_KEY,
  403: NOT_ALLOWED,
  404: { code: 'NOT_FOUND', text: 'does not exist' },
  416: { code: 'USAGE', text: 'has no such range' },
}

const NO_CREDENTIALS: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'there are no AWS credentials that work',
  hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in: aws sso login',
}

/** The errors of the SDK's credential chain, by name. */
const CREDENTIAL_ERRORS: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'TokenProviderError',
  'ProviderError',
])

/** True when the SDK has looked everywhere and found no credentials, as against some that do not work. */
export function areCredentialsAbsent(error: unknown): boolean {
  // The SDK has no code for it: the same class says that a login has expired.
  return (
    error instanceof Error &&
    CREDENTIAL_ERRORS.has(error.name) &&
    error.message.startsWith('Could not load credentials from any providers')
  )
}

/** The SDK's errors for a connection that failed, by name. */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set(['TimeoutError', 'NetworkingError'])

const SERVICE = 'an S3 service'

/** Says what an error means; `what` names the object. Judges by codes and status only. */
export function toFailure(error: unknown, what: string): S3Failure {
  if (isS3loError(error) || !(error instanceof Error)) return { error, retryable: false }
  if (error instanceof ForeignAnswerError) return foreignAnswer(what, SERVICE, error)
  const answer = answerOf(error)
  if (answer !== undefined) return ofAnswer(answer, what)
  if (CREDENTIAL_ERRORS.has(error.name)) {
    return failureOf(NO_CREDENTIALS, what, new Error(`${error.name}: ${error.message}`))
  }
  const network = networkFailure(error, what)
  if (network) return network
  if (CONNECTION_ERRORS.has(error.name)) {
    return failureOf(MEANING.unreachable, what, new Error(`${error.name}: ${error.message}`))
  }
  // The SDK's parser says so of an answer that is no XML, or XML that was cut off.
  if ('$response' in error || /pars|Deserialization|XML/i.test(`${error.name} ${error.message}`)) {
    return foreignAnswer(what, SERVICE, new Error(error.name))
  }
  return { error, retryable: false }
}

/** What an error of one key in a batch means. */
export function toKeyFailure(reason: string | undefined, what: string): S3Failure {
  const meaning = (reason !== undefined && REASONS[reason]) || MEANING.busy
  return failureOf(meaning, what, new Error(reason ?? 'no code'))
}

/** A refusal of a request of the backend itself, or of a client of the SDK. */
interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly code: string | undefined
  readonly region: string | undefined
  readonly requestId: string | undefined
}

function answerOf(error: Error): Answer | undefined {
  if (error instanceof RefusalError) {
    const { status, headers, code, region } = error
    return {
      status,
      headers,
      code,
      region,
      requestId: headers['x-amz-request-id'] ?? headers['x-amzn-requestid'],
    }
  }
  if (!('$metadata' in error) || typeof error.$metadata !== 'object' || !error.$metadata) {
    return undefined
  }
  const metadata = error.$metadata as { readonly [name: string]: unknown }
  const response = '$response' in error ? error.$response : undefined
  const headers =
    typeof response === 'object' && response !== null && 'headers' in response
      ? (response.headers as Headers)
      : {}
  const status = metadata['httpStatusCode']
  if (typeof status !== 'number' || status < 300) return undefined
  const requestId = metadata['requestId']
  const code = 'Code' in error && typeof error.Code === 'string' ? error.Code : error.name
  return {
    status,
    headers,
    // What the SDK calls an answer without a body says nothing.
    code: /^(Unknown|UnknownError|Error|S3ServiceException|\d+)$/.test(code) ? undefined : code,
    region: 'Region' in error && typeof error.Region === 'string' ? error.Region : undefined,
    requestId: typeof requestId === 'string' ? requestId : undefined,
  }
}

function ofAnswer(answer: Answer, what: string): S3Failure {
  const { status, headers, code: reason, requestId } = answer
  const known = reason === undefined ? undefined : REASONS[reason]
  const meaning = known ?? meaningOfStatus(status, STATUSES)
  const about = [`HTTP ${status}`, reason].filter(Boolean).join(' ')
  // Not the SDK's error itself: it holds the request, whose headers and URL hold credentials.
  const cause = new Error(requestId === undefined ? about : `${about}, request ${requestId}`)
  const { date, 'retry-after': retryAfter } = headers
  const region = headers['x-amz-bucket-region'] ?? answer.region
  // Requests are signed with their time, which the service accepts when it is at most 15 minutes off.
  const isByClock = meaning === WRONG_CLOCK || meaning === NOT_ALLOWED || meaning === BAD_SECRET
  const judged = isByClock ? withClock(meaning, date, WRONG_CLOCK) : meaning
  const failure = refusalOf(judged, what, { status, reason, date, retryAfter, cause })
  return { ...failure, ...(region !== undefined && { region }) }
}
