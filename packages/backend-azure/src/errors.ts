import { RestError } from '@azure/storage-blob'
import { isS3loError } from '@s3lo/core/plugin'
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

/** What the service's error codes mean. */
const REASONS: Readonly<Record<string, Meaning>> = {
  BlobNotFound: { code: 'NOT_FOUND', text: 'does not exist' },
  ResourceNotFound: { code: 'NOT_FOUND', text: 'does not exist' },
  ContainerNotFound: {
    code: 'NOT_FOUND',
    text: 'the container does not exist',
    ofBucket: true,
    hint: 'create it: az storage container create --name NAME',
  },
  ContainerBeingDeleted: {
    ...MEANING.busy,
    text: 'the container is being deleted',
    retryable: false,
  },
  ContainerDisabled: { ...NOT_ALLOWED, text: 'the container is disabled' },
  AccountIsDisabled: { ...NOT_ALLOWED, text: 'the storage account is disabled' },
  BlobAlreadyExists: { code: 'CONFLICT', text: 'exists already' },
  ConditionNotMet: MEANING.lost,
  TargetConditionNotMet: MEANING.lost,
  InvalidBlockList: { ...MEANING.lost, text: 'was written by another client at the same time' },
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
  BlobBeingRehydrated: {
    ...MEANING.busy,
    text: 'is coming back from the archive tier',
    retryable: false,
  },
  SnapshotsPresent: {
    code: 'FORBIDDEN',
    text: 'has snapshots, which would be lost with it',
    hint: 'delete the snapshots first',
  },
  ServerBusy: MEANING.throttled,
  PendingCopyOperation: { ...MEANING.busy, text: 'is being copied to' },
  LeaseIdMissing: LEASED,
  LeaseIdMismatchWithBlobOperation: LEASED,
  Md5Mismatch: MEANING.damaged,
  Crc64Mismatch: MEANING.damaged,
  InvalidResourceName: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  OutOfRangeInput: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  InvalidUri: { code: 'INVALID_REFERENCE', text: 'has a name that Azure does not allow' },
  // A version of the protocol, a kind of account or a kind of blob that lacks what is asked for.
  InvalidBlobType: { code: 'UNSUPPORTED', text: 'is not a block blob' },
}

/** What a status means where its error code does not say more. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  401: BAD_CREDENTIALS,
  403: NOT_ALLOWED,
  404: {
    code: 'NOT_FOUND',
    text: 'there is no blob service at this address',
    hint: 'check the endpoint',
  },
}

/** The errors of `@azure/identity`, by name: the package is loaded only where it is used. */
const IDENTITY_ERRORS: ReadonlySet<string> = new Set([
  'AggregateAuthenticationError',
  'AuthenticationError',
  'AuthenticationRequiredError',
  'CredentialUnavailableError',
])

/** True when there is no identity on this machine, as against one that does not work. */
export function isIdentityAbsent(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  // A chain of identities says so of each of them.
  if (error.name === 'AggregateAuthenticationError' && 'errors' in error) {
    return Array.isArray(error.errors) && error.errors.every(isIdentityAbsent)
  }
  return error.name === 'CredentialUnavailableError' || error.name === 'AuthenticationRequiredError'
}

const SERVICE = 'a blob service'

/** Says what an error of the SDK means; `what` names the object. Judges by codes and status only. */
export function toFailure(error: unknown, what: string): Failure {
  if (isS3loError(error)) return { error, retryable: false }
  if (!(error instanceof Error)) return { error, retryable: false }
  if (error instanceof ForeignAnswerError) return foreignAnswer(what, SERVICE, error)
  if (IDENTITY_ERRORS.has(error.name)) return ofIdentity(error, what)
  const status = error instanceof RestError ? error.statusCode : undefined
  // The SDK did not expect it: another status of success than the request has, or a torn document.
  if (status !== undefined && status < 300) {
    return foreignAnswer(what, SERVICE, new Error(`HTTP ${status}`))
  }
  if (error instanceof RestError && status !== undefined) return ofAnswer(error, status, what)
  const network = networkFailure(error, what)
  if (network) return network
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'PARSE_ERROR') return foreignAnswer(what, SERVICE, new Error(code))
  const meaning = code === 'REQUEST_SEND_ERROR' ? MEANING.unreachable : REASONS[code]
  if (!meaning) return { error, retryable: false }
  return failureOf(meaning, what, new Error(`${code}: ${error.message}`))
}

function ofAnswer(error: RestError, status: number, what: string): Failure {
  const headers = error.response?.headers
  const reason = headers?.get('x-ms-error-code') ?? error.code
  const known = reason === undefined ? undefined : REASONS[reason]
  const meaning = known ?? meaningOfStatus(status, STATUSES)
  // Not the SDK's error itself: it holds the request, whose headers and URL hold credentials.
  const requestId = headers?.get('x-ms-request-id')
  const cause = new Error(
    `HTTP ${status}${reason ? ` ${reason}` : ''}${requestId ? `, request ${requestId}` : ''}`,
  )
  const date = headers?.get('date')
  const exactly = headers?.get('x-ms-retry-after-ms') ?? headers?.get('retry-after-ms')
  const retryAfter =
    exactly === undefined ? headers?.get('retry-after') : String(Number(exactly) / 1000)
  const about = meaning === BAD_CREDENTIALS ? withClock(meaning, date) : meaning
  return refusalOf(about, what, { status, reason, date, retryAfter, cause })
}

function ofIdentity(error: Error, what: string): Failure {
  const meaning: Meaning = {
    code: 'UNAUTHORIZED',
    text: 'there are no Azure credentials that work',
    hint: 'log in with: az login, or set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN',
  }
  return failureOf(meaning, what, new Error(`${error.name}: ${error.message}`))
}
