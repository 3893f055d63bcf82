import { asArray, asObject, distributionError, isS3loError, parseJson } from '@s3lo/core'
import { type ErrorCode, S3loError } from '@s3lo/core/plugin'
import {
  type Failure,
  failureOf,
  type Meaning,
  networkFailure,
  retryAfterMs,
  type ToFailure,
} from '@s3lo/core/transfer'
import type { HttpHeaders } from './http.ts'
import { formatWait, type RateLimit, rateLimitOf } from './rate-limit.ts'

/** Bytes of an error's body that are read. */
export const MAX_ERROR_BYTES = 64 * 1024
/** Milliseconds: where a registry asks to wait longer, the user decides. */
export const LONGEST_WAIT_MS = 120_000
const MAX_MESSAGE = 300

/** An answer that is not what was asked for (OCI distribution spec v1.1.1, "error codes"). */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly status: number
  readonly headers: HttpHeaders
  /** The registry's own code, such as `MANIFEST_UNKNOWN`; empty when it gives none. */
  readonly reason: string
  /** What the registry says, fit to be printed; empty when it says nothing. */
  readonly detail: string

  constructor(status: number, headers: HttpHeaders, body: Uint8Array) {
    const { code, message } = firstError(body)
    super(`status ${status}${code && ` ${code}`}${message && `: ${message}`}`)
    this.status = status
    this.headers = headers
    this.reason = code
    this.detail = message
  }
}

/** Wraps an error after which another attempt is worth it. */
export class TransientError extends Error {
  override readonly name = 'TransientError'

  constructor(cause: S3loError) {
    super(cause.message, { cause })
  }
}

/** Says what a failure of a request to the registry `host` means. */
export function failuresOf(host: string, plainHttp = false): ToFailure {
  return (error, what) => {
    if (error instanceof StatusError) return statusFailure(error, what, { host, plainHttp })
    if (error instanceof TransientError) return { error: error.cause, retryable: true }
    if (isS3loError(error)) return { error, retryable: false }
    const failure = networkFailure(error, what)
    if (failure) return failure
    // A body that ended too early leaves no error behind.
    return error === undefined ? failureOf(BROKEN, what) : { error, retryable: false }
  }
}

const BROKEN: Meaning = {
  code: 'UNAVAILABLE',
  text: 'the connection broke',
  hint: 'try again later',
  retryable: true,
}

interface Asked {
  readonly host: string
  readonly plainHttp: boolean
}

function statusFailure(error: StatusError, what: string, asked: Asked): Failure {
  const { status, reason, detail, headers } = error
  const waitMs = retryAfterMs(headers.get('retry-after'))
  const meaning = meaningOf(error, asked, waitMs)
  const said = detail === '' ? meaning.text : `${meaning.text}: ${detail}`
  const failure = failureOf({ ...meaning, text: said }, what, error)
  return {
    ...failure,
    status,
    ...(reason === '' ? {} : { reason }),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  }
}

function meaningOf(error: StatusError, asked: Asked, askedMs: number | undefined): Meaning {
  const { status, reason } = error
  const { host } = asked
  if (status === 429 || reason === 'TOOMANYREQUESTS') return limited(error, host, askedMs)
  if (status >= 500 || status === 408 || status === 425) {
    const text = `the registry ${host} failed with status ${status}`
    return { code: 'UNAVAILABLE', text, hint: 'try again later', retryable: status !== 501 }
  }
  if (status < 300) {
    const text = `expected an answer of the registry ${host}, got status ${status}`
    return { code: 'UNAVAILABLE', text, hint: NO_ANSWER_HINT, retryable: true }
  }
  const byStatus = STATUS[status]
  const code = distributionError(reason)?.code ?? byStatus?.code ?? 'UNSUPPORTED'
  if (code === 'UNAUTHORIZED') {
    const text = `the registry ${host} asks for a login, or there is no such repository`
    return { code, text, hint: `log in: s3lo login ${host}` }
  }
  if (code === 'FORBIDDEN') {
    const text = `the registry ${host} does not allow it`
    return { code, text, hint: `log in as a user who may: s3lo login ${host}` }
  }
  if (code === 'NOT_FOUND') return { code, text: 'does not exist' }
  const text = byStatus?.text ?? `the registry ${host} answered with status ${status}`
  // So servers answer to a request that came without the TLS which they expect.
  const isTlsMissing = asked.plainHttp && status === 400 && reason === ''
  return isTlsMissing ? { code, text, hint: TLS_HINT } : { code, text }
}

const NO_ANSWER_HINT = 'check that no proxy or login page answers for the registry'

/** The failure of an answer that only its status says to be one. */
export function noAnswer(what: string, host: string, got: string): S3loError {
  const text = `${what}: expected an answer of the registry ${host}, got ${got}`
  return new S3loError('UNAVAILABLE', text, { hint: NO_ANSWER_HINT })
}

const TLS_HINT =
  'it was asked without TLS, as is usual on this machine; --tls-ca FILE asks with TLS'

/** Waits of hours, as Docker Hub's for its count of pulls, are not waited for. */
function limited({ headers }: StatusError, host: string, askedMs: number | undefined): Meaning {
  const quota = rateLimitOf(headers)
  const isSpent = quota?.remaining === 0 && (quota.windowSeconds ?? 0) * 1000 > LONGEST_WAIT_MS
  const windowMs = isSpent ? 1000 * (quota.windowSeconds ?? 0) : 0
  const waitMs = askedMs ?? windowMs
  const isLong = waitMs > LONGEST_WAIT_MS
  const counted = quota === undefined ? '' : ` to ${quotaText(quota)}`
  const wait = isLong ? `wait (${formatWait(waitMs / 1000)} at most)` : 'wait'
  return {
    code: 'UNAVAILABLE',
    text: `the registry ${host} limits requests${counted}`,
    hint: `${wait}, or log in for a higher limit: s3lo login ${host}`,
    retryable: !isLong,
  }
}

function quotaText({ limit, windowSeconds }: RateLimit): string {
  return windowSeconds === undefined ? String(limit) : `${limit} in ${formatWait(windowSeconds)}`
}

const STATUS: Readonly<Record<number, { readonly code: ErrorCode; readonly text?: string }>> = {
  401: { code: 'UNAUTHORIZED' },
  403: { code: 'FORBIDDEN' },
  404: { code: 'NOT_FOUND' },
  405: { code: 'UNSUPPORTED', text: 'the registry does not support this' },
  409: { code: 'CONFLICT', text: 'the registry refuses to overwrite' },
  412: { code: 'CONFLICT', text: 'the registry has another version by now' },
  413: { code: 'UNSUPPORTED', text: 'the registry does not take anything so large' },
}

/** The first error of the list; nothing when the body is no error of the specification. */
function firstError(body: Uint8Array): { readonly code: string; readonly message: string } {
  try {
    const { errors } = asObject(parseJson(body, 'error'), 'error')
    const { code, message } = asObject(asArray(errors, 'errors')[0], 'error')
    return { code: printable(code), message: printable(message) }
  } catch (error) {
    // A proxy's page or nothing at all: the status alone has to say it.
    if (isS3loError(error, 'INTEGRITY')) return { code: '', message: '' }
    throw error
  }
}

/** A foreign text on one line, without control characters, and not too long. */
export function printable(text: unknown): string {
  if (typeof text !== 'string') return ''
  return text
    .slice(0, 4 * MAX_MESSAGE)
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, MAX_MESSAGE)
}

/** The failure of an answer that contradicts itself or what was asked. */
export function contradiction(what: string, text: string): S3loError {
  return new S3loError('INTEGRITY', `${what}: ${text}`)
}
