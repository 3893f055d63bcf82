import type { IncomingHttpHeaders } from 'node:http'
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

/** An answer of the service that says no. Holds nothing of the request. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError'
  readonly status: number
  /** `conditionNotMet` of the JSON API, `PreconditionFailed` of the XML API. */
  readonly reason: string | undefined
  readonly headers: Readonly<Pick<IncomingHttpHeaders, 'date' | 'retry-after'>>

  constructor(status: number, reason: string | undefined, headers: AnswerError['headers']) {
    super(`HTTP ${status}${reason === undefined ? '' : ` ${reason}`}`)
    this.status = status
    this.reason = reason
    // No others: an address may be a credential.
    this.headers = { date: headers.date, 'retry-after': headers['retry-after'] }
  }
}

/** Why there is no token. */
interface TokenProblem {
  readonly status?: number
  readonly date?: string | undefined
  readonly isAbsent?: boolean
  /** In words of where the token was to come from. */
  readonly reason?: string
}

/** No access token: the identity service says no, or there is none. */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly status: number | undefined
  /** The `Date` of the identity service's answer. */
  readonly date: string | undefined
  /** True where no user has logged in: there is no credential file, and no metadata server. */
  readonly isAbsent: boolean

  readonly reason: string | undefined

  constructor({ status, date, isAbsent = false, reason }: TokenProblem = {}) {
    super(status === undefined ? 'there is no access token' : `no access token: HTTP ${status}`)
    this.reason = reason
    this.status = status
    this.date = date
    this.isAbsent = isAbsent
  }
}

/** Content that does not have the hash that the service says of it. */
export class DamagedContentError extends Error {
  override readonly name = 'DamagedContentError'
}

const DAMAGED: Meaning = {
  ...MEANING.damaged,
  text: 'the content was damaged on its way from the service',
}
const BAD_CREDENTIALS: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'Google does not accept the credentials',
  hint: 'log in with: gcloud auth application-default login',
}
const NO_CREDENTIALS: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'there are no Google credentials that work',
  hint: 'log in with: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS',
}
const NOT_ALLOWED: Meaning = {
  code: 'FORBIDDEN',
  text: 'the credentials do not allow this, or the bucket does not exist',
  hint: 'grant roles/storage.objectViewer to read, or roles/storage.objectUser to write',
}
const NO_BUCKET: Meaning = {
  code: 'NOT_FOUND',
  text: 'the bucket does not exist',
  ofBucket: true,
  hint: 'create it: gcloud storage buckets create gs://NAME',
}
const RETAINED: Meaning = {
  code: 'FORBIDDEN',
  text: 'a retention policy protects it',
  hint: 'a tag in such a bucket cannot be moved or removed before its retention period ends',
}
const HELD: Meaning = {
  code: 'FORBIDDEN',
  text: 'a hold protects it',
  hint: 'release it: gcloud storage objects update --no-temporary-hold --no-event-based-hold URL',
}
const PAYER: Meaning = {
  code: 'FORBIDDEN',
  text: 'the bucket lets the requester pay',
  hint: 'name the project that pays in GOOGLE_CLOUD_QUOTA_PROJECT',
}
const EXPIRED: Meaning = { code: 'FORBIDDEN', text: 'the deadline has passed' }
const BAD_SIGNATURE: Meaning = {
  code: 'UNAUTHORIZED',
  text: 'Google does not accept the signature',
  hint: 'check that the service account key was not deleted, and the clock of this machine',
}
const UNBILLED: Meaning = {
  code: 'FORBIDDEN',
  text: "the bucket's project has no billing account",
  hint: 'check the billing of the project',
}

/** What the reasons of the JSON API and the codes of the XML API mean. */
const REASONS: Readonly<Record<string, Meaning>> = {
  conditionNotMet: MEANING.lost,
  PreconditionFailed: MEANING.lost,
  NoSuchKey: { code: 'NOT_FOUND', text: 'does not exist' },
  NoSuchBucket: NO_BUCKET,
  rateLimitExceeded: { ...MEANING.throttled, text: 'the service gets too many requests for it' },
  userRateLimitExceeded: {
    ...MEANING.throttled,
    text: 'the service gets too many requests for it',
  },
  retentionPolicyNotMet: RETAINED,
  RetentionPolicyNotMet: RETAINED,
  objectUnderActiveHold: HELD,
  ObjectUnderActiveHold: HELD,
  userProjectMissing: PAYER,
  UserProjectMissing: PAYER,
  UserProjectAccountProblem: UNBILLED,
  accountDisabled: UNBILLED,
  AccountProblem: UNBILLED,
  ExpiredToken: EXPIRED,
  SignatureDoesNotMatch: BAD_SIGNATURE,
  InvalidSecurity: BAD_SIGNATURE,
  RequestTimeTooSkewed: BAD_SIGNATURE,
  BadDigest: MEANING.damaged,
  // A missing parameter, which only the payer can be; 401 says the same of a missing token.
  '400 required': PAYER,
  vpcServiceControls: {
    ...NOT_ALLOWED,
    text: 'a VPC service perimeter forbids this',
    hint: 'use a network inside the perimeter',
  },
}

/** What a status means where its reason does not say more. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  401: BAD_CREDENTIALS,
  403: NOT_ALLOWED,
  404: { code: 'NOT_FOUND', text: 'does not exist' },
  410: { ...MEANING.busy, text: 'the service has given up the upload', retryable: false },
}

const SERVICE = 'Google Cloud Storage'

/** Says what a failed request means; `what` names the object. Judges by codes and status only. */
export function toFailure(error: unknown, what: string): Failure {
  if (isS3loError(error)) return { error, retryable: false }
  if (error instanceof AnswerError) return ofAnswer(error, what)
  if (error instanceof TokenError) return ofToken(error, what)
  if (error instanceof DamagedContentError) return failureOf(DAMAGED, what, error)
  if (error instanceof ForeignAnswerError) return foreignAnswer(what, SERVICE, error)
  return networkFailure(error, what) ?? { error, retryable: false }
}

/** For `catch`: a 404 of the service itself to a request about the whole bucket is that of the bucket. */
export function sayBucketMissing(bucket: string): (error: unknown) => never {
  return (error) => {
    const isMissing = error instanceof AnswerError && error.status === 404 && error.reason
    throw isMissing ? failureOf(NO_BUCKET, `gs://${bucket}`, error).error : error
  }
}

function ofAnswer(error: AnswerError, what: string): Failure {
  const { status, reason, headers } = error
  // What is not there is known only from the service itself.
  if (status === 404 && reason === undefined) return foreignAnswer(what, SERVICE, error)
  const known = REASONS[`${status} ${reason}`] ?? REASONS[reason ?? '']
  const meaning = known ?? meaningOfStatus(status, STATUSES)
  const { date, 'retry-after': retryAfter } = headers
  const refusal = { status, reason, date, retryAfter, cause: error }
  return refusalOf(authorized(meaning, date), what, refusal)
}

function ofToken(error: TokenError, what: string): Failure {
  const { status, date, reason } = error
  if (status !== undefined && (status >= 500 || status === 429)) {
    const text = 'the identity service of Google cannot answer now'
    return failureOf({ ...MEANING.busy, text }, what, error)
  }
  const text = reason === undefined ? NO_CREDENTIALS.text : `${NO_CREDENTIALS.text}: ${reason}`
  return failureOf(authorized({ ...NO_CREDENTIALS, text }, date), what, error)
}

/** Tokens are asked for, and URLs signed, with the time of this machine. */
function authorized(meaning: Meaning, date: string | undefined): Meaning {
  return meaning.code === 'UNAUTHORIZED' ? withClock(meaning, date) : meaning
}
