import { RestError } from '@azure/storage-blob'
import { type ErrorCode, isS3loError, S3loError } from '@s3lo/core/plugin'

/** A failed request: what it means, and whether it may be sent again. */
export interface Failure {
  /** What to throw: an s3lo error, or what was thrown when it is nothing that a store can cause. */
  readonly error: unknown
  /** The service's own error code, such as `BlobNotFound`. */
  readonly reason?: string
  readonly status?: number
  readonly retryable: boolean
  /** How long the service asks to wait. */
  readonly retryAfterMs?: number
  /** When it answered, by its own clock; a whole second. */
  readonly answeredAt?: Date
}

interface Meaning {
  readonly code: ErrorCode
  readonly text: string
  readonly hint?: string
  readonly retryable?: boolean
}

const BAD_CREDENTIALS: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'Azure does not accept the credentials',
  hint: 'check the account, the key or token, and when it expires',
}
const NOT_ALLOWED: Meaning = {
  code: 'FORBIDDEN',
  text: 'the credentials do not allow this',
  hint: 'grant Storage Blob Data Reader to read, or Storage Blob Data Contributor to write',
}
const LOST: Meaning = { code: 'CONFLICT', text: 'was changed by another client' }
const BUSY: Meaning = {
  code: 'UNAVAILABLE',
  text: 'the service cannot do this now',
  hint: 'try again later',
  retryable: true,
}
const LEASED: Meaning = {
  code: 'FORBIDDEN',
  text: 'another client holds a lease on it',
  hint: 'wait until the lease ends, or break it',
}
const PROTECTED: Meaning = {
  code: 'FORBIDDEN',
  text: 'an immutability policy protects it',
  hint: 'a tag in a write-once container cannot be moved or removed before the policy ends',
}
const DAMAGED: Meaning = {
  code: 'INTEGRITY',
  text: 'the content was damaged on its way to the service',
  retryable: true,
}

/** What the service's error codes mean. */
const REASONS: Readonly<Record<string, Meaning>> = {
  BlobNotFound: { code: 'NOT_FOUND', text: 'does not exist' },
  ResourceNotFound: { code: 'NOT_FOUND', text: 'does not exist' },
  ContainerNotFound: {
    code: 'NOT_FOUND',
    text: 'the container does not exist',
    hint: 'create it: az storage container create --name NAME',
  },
  ContainerBeingDeleted: { ...BUSY, text: 'the container is being deleted', retryable: false },
  ContainerDisabled: { ...NOT_ALLOWED, text: 'the container is disabled' },
  AccountIsDisabled: { ...NOT_ALLOWED, text: 'the storage account is disabled' },
  BlobAlreadyExists: { code: 'CONFLICT', text: 'exists already' },
  ConditionNotMet: LOST,
  TargetConditionNotMet: LOST,
  InvalidBlockList: { ...LOST, text: 'was written by another client at the same time' },
  AuthenticationFailed: BAD_CREDENTIALS,
  InvalidAuthenticationInfo: BAD_CREDENTIALS,
  NoAuthenticationInformation: BAD_CREDENTIALS,
  AuthorizationSourceIPMismatch: {
    ...NOT_ALLOWED,
    hint: 'the token is for another address than this machine has',
  },
  KeyBasedAuthenticationNotPermitted: {
    ...NOT_ALLOWED,
    text: 'the storage account takes no account keys',
    hint: 'unset AZURE_STORAGE_KEY to use an identity, and log in with: az login',
  },
  PublicAccessNotPermitted: BAD_CREDENTIALS,
  BlobImmutableDueToPolicy: PROTECTED,
  BlobImmutableDueToLegalHold: PROTECTED,
  BlobArchived: {
    code: 'UNSUPPORTED',
    text: 'is in the archive tier',
    hint: 'rehydrate it first: az storage blob set-tier --tier Hot',
  },
  BlobBeingRehydrated: { ...BUSY, text: 'is coming back from the archive tier', retryable: false },
  SnapshotsPresent: {
    code: 'FORBIDDEN',
    text: 'has snapshots, which would be lost with it',
    hint: 'delete the snapshots first',
  },
  PendingCopyOperation: { ...BUSY, text: 'is being copied to' },
  LeaseIdMissing: LEASED,
  LeaseIdMismatchWithBlobOperation: LEASED,
  Md5Mismatch: DAMAGED,
  Crc64Mismatch: DAMAGED,
  InvalidResourceName: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  OutOfRangeInput: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  InvalidUri: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  // A version of the protocol, a kind of account or a kind of blob that lacks what is asked for.
  InvalidBlobType: { code: 'UNSUPPORTED', text: 'is not a block blob' },
  // The SDK's own codes.
  PARSE_ERROR: { ...BUSY, text: 'the answer is not what a blob service sends' },
}

/** What a status means where its error code does not say more. */
function meaningOf(status: number): Meaning {
  if (status === 401) return BAD_CREDENTIALS
  if (status === 403) return NOT_ALLOWED
  if (status === 404) {
    const hint = 'check the endpoint'
    return { code: 'NOT_FOUND', text: 'there is no blob service at this address', hint }
  }
  if (status === 409 || status === 412) return LOST
  if (status === 408 || status === 429) return BUSY
  if (status === 501 || status === 505) {
    return { code: 'UNSUPPORTED', text: 'the service does not know this request' }
  }
  if (status >= 500) return BUSY
  return { code: 'UNSUPPORTED', text: 'the service does not accept the request' }
}

const UNREACHABLE: Meaning = {
  code: 'UNAVAILABLE',
  text: 'the connection failed',
  hint: 'check the network and the endpoint',
  retryable: true,
}
const UNTRUSTED: Meaning = {
  code: 'UNSUPPORTED',
  text: 'the certificate of the service is not trusted',
  hint: 'name the certificate of its authority in NODE_EXTRA_CA_CERTS',
}

/** What the codes of Node's sockets mean. */
const SOCKET_CODES: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: {
    ...UNREACHABLE,
    text: 'the host name is not known',
    hint: 'check the name of the storage account and the network',
    retryable: false,
  },
  EAI_AGAIN: { ...UNREACHABLE, text: 'the host name could not be looked up' },
  ECONNREFUSED: { ...UNREACHABLE, text: 'nothing answers at this address' },
  REQUEST_SEND_ERROR: UNREACHABLE,
  ECONNRESET: UNREACHABLE,
  ECONNABORTED: UNREACHABLE,
  EPIPE: UNREACHABLE,
  ETIMEDOUT: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETDOWN: UNREACHABLE,
  HPE_INVALID_CONSTANT: UNREACHABLE,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_HAS_EXPIRED: UNTRUSTED,
  CERT_NOT_YET_VALID: UNTRUSTED,
  CERT_UNTRUSTED: UNTRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: UNTRUSTED,
}

/** The errors of `@azure/identity`, by name: the package is loaded only where it is used. */
const IDENTITY_ERRORS: ReadonlySet<string> = new Set([
  'AggregateAuthenticationError',
  'AuthenticationError',
  'AuthenticationRequiredError',
  'CredentialUnavailableError',
])

/** Says what an error of the SDK means; `what` names the object. Judges by codes and status only. */
export function toFailure(error: unknown, what: string): Failure {
  if (isS3loError(error)) return { error, retryable: false }
  if (!(error instanceof Error)) return { error, retryable: false }
  if (IDENTITY_ERRORS.has(error.name)) return ofIdentity(error, what)
  const status = error instanceof RestError ? error.statusCode : undefined
  if (error instanceof RestError && status !== undefined) return ofAnswer(error, status, what)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const meaning = SOCKET_CODES[code] ?? REASONS[code] ?? (isProtocolError(code) && UNREACHABLE)
  if (!meaning) return { error, retryable: false }
  return failureOf(meaning, what, new Error(`${code}: ${error.message}`))
}

/** An attempt that made no progress for a while. */
export function stalled(what: string, stallMs: number): Failure {
  const text = `the service was silent for ${stallMs / 1000} s`
  return failureOf({ ...UNREACHABLE, text }, what)
}

/** The same failure, said as what it is when a signature had ended by the clock of the service. */
export function withDeadline(failure: Failure, notAfter: Date | undefined, what: string): Failure {
  if (notAfter === undefined || failure.status !== 403 || !failure.answeredAt) return failure
  // Both clocks show whole seconds, and the signature ends at the start of its last one.
  const seconds = (date: Date): number => Math.floor(date.getTime() / 1000)
  if (seconds(failure.answeredAt) < seconds(notAfter)) return failure
  const cause = failure.error
  const error = new S3loError('FORBIDDEN', `the deadline for ${what} has passed`, { cause })
  return { ...failure, error }
}

function ofAnswer(error: RestError, status: number, what: string): Failure {
  const headers = error.response?.headers
  const reason = headers?.get('x-ms-error-code') ?? error.code
  const known = reason === undefined ? undefined : REASONS[reason]
  const meaning = withClock(known ?? meaningOf(status), headers?.get('date'))
  // Not the SDK's error itself: it holds the request, whose headers and URL hold credentials.
  const requestId = headers?.get('x-ms-request-id')
  const cause = new Error(
    `HTTP ${status}${reason ? ` ${reason}` : ''}${requestId ? `, request ${requestId}` : ''}`,
  )
  const answeredAt = Date.parse(headers?.get('date') ?? '')
  const retryAfterMs = retryAfter(
    headers?.get('x-ms-retry-after-ms') ?? headers?.get('retry-after-ms'),
    headers?.get('retry-after'),
  )
  return {
    ...failureOf(meaning, what, cause),
    status,
    ...(reason !== undefined && { reason }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(!Number.isNaN(answeredAt) && { answeredAt: new Date(answeredAt) }),
  }
}

function ofIdentity(error: Error, what: string): Failure {
  const meaning: Meaning = {
    code: 'UNAUTHORIZED',
    text: 'there are no Azure credentials that work',
    hint: 'log in with: az login, or set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN',
  }
  return failureOf(meaning, what, new Error(`${error.name}: ${error.message}`))
}

function failureOf(meaning: Meaning, what: string, cause?: Error): Failure {
  const { code, text, hint, retryable = false } = meaning
  const joint = text.startsWith('the ') || text.startsWith('there ') ? ': ' : ' '
  const said = /^(Azure|nothing|another|an) /.test(text) ? `: ${text}` : `${joint}${text}`
  return { error: new S3loError(code, `${what}${said}`, { hint, cause }), retryable }
}

/** Requests are signed with their time, which the service accepts when it is at most 15 minutes off. */
function withClock(meaning: Meaning, date: string | undefined): Meaning {
  if (meaning !== BAD_CREDENTIALS || date === undefined) return meaning
  const minutes = Math.round(Math.abs(Date.now() - Date.parse(date)) / 60_000)
  if (!(minutes >= 14)) return meaning
  return { ...meaning, hint: `this machine's clock is ${minutes} minutes off: set it` }
}

function retryAfter(ms: string | undefined, seconds: string | undefined): number | undefined {
  const wait = ms === undefined ? Number(seconds ?? Number.NaN) * 1000 : Number(ms)
  if (Number.isFinite(wait)) return Math.max(0, wait)
  const until = Date.parse(seconds ?? '') - Date.now()
  return Number.isFinite(until) ? Math.max(0, until) : undefined
}

/** `HPE_…` are errors of Node's HTTP parser, `ERR_SSL_…` of its TLS. */
function isProtocolError(code: string): boolean {
  return code.startsWith('HPE_') || code.startsWith('ERR_SSL_') || code.startsWith('ERR_HTTP_')
}
