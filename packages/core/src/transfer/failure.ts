import { type ErrorCode, S3loError } from '../errors.ts'

/** A failed request: what it means, and whether it may be sent again. */
export interface Failure {
  /** What to throw: an s3lo error, or what was thrown when it is nothing that a service can cause. */
  readonly error: unknown
  /** The service's own error code, such as `NoSuchKey` or `BlobNotFound`. */
  readonly reason?: string
  readonly status?: number
  readonly retryable: boolean
  /** The service itself says that it has not begun with the request: it can have had no effect. */
  readonly turnedAway?: boolean
  /** How long the service asks to wait, in milliseconds. */
  readonly retryAfterMs?: number
  /** When it answered, by its own clock; a whole second. */
  readonly answeredAt?: Date
}

/** What a code or status of a service means to a user. */
export interface Meaning {
  readonly code: ErrorCode
  /** Follows the name of the object: `does not exist`, `the bucket does not exist`. */
  readonly text: string
  readonly hint?: string
  readonly retryable?: boolean
  readonly turnedAway?: boolean
  /** It holds for the whole bucket: the name of the object in it is left out. */
  readonly ofBucket?: boolean
  /** See {@link S3loError.contentFault}; by default, what the code implies. */
  readonly contentFault?: boolean
}

const BUSY = {
  code: 'UNAVAILABLE',
  text: 'the service cannot do this now',
  hint: 'try again later',
  retryable: true,
} as const

const UNREACHABLE: Meaning = {
  code: 'UNAVAILABLE',
  text: 'the connection failed',
  hint: 'check the network and the endpoint',
  retryable: true,
}

/** What every service says in words of its own. */
export const MEANING = {
  lost: { code: 'CONFLICT', text: 'was changed by another client' },
  /** It may have begun: so says a proxy too, when the service behind it is gone. */
  busy: BUSY,
  unreachable: UNREACHABLE,
  /** It has too much to do, and has not begun. */
  throttled: { ...BUSY, turnedAway: true },
  damaged: {
    code: 'INTEGRITY',
    text: 'the content was damaged on its way to the service',
    retryable: true,
    // What is stored is as it was.
    contentFault: false,
  },
} as const satisfies Readonly<Record<string, Meaning>>

/** Makes a failure of its meaning; `what` names the object. `cause` must hold no credentials. */
export function failureOf(meaning: Meaning, what: string, cause?: Error): Failure {
  const { code, text, hint, contentFault } = meaning
  const { retryable = false, turnedAway, ofBucket = false } = meaning
  // A clause with a subject of its own is set off; a verb follows the name.
  const hasSubject = /^(the|there|an?|another|nothing|no|[A-Z]\w*) /.test(text)
  const message = `${ofBucket ? bucketOf(what) : what}${hasSubject ? ': ' : ' '}${text}`
  const error = new S3loError(code, message, { hint, cause, contentFault })
  return { error, retryable, ...(turnedAway && { turnedAway }) }
}

/** What an answer that says no has besides its meaning. */
export interface Refusal {
  readonly status: number
  /** The service's own error code. */
  readonly reason: string | undefined
  readonly date: string | undefined
  readonly retryAfter: string | undefined
  /** Holds no credentials: neither the request nor its headers. */
  readonly cause: Error
}

/** The failure that an answer of the service is. */
export function refusalOf(meaning: Meaning, what: string, refusal: Refusal): Failure {
  const { status, reason, date, retryAfter, cause } = refusal
  const answeredAt = Date.parse(date ?? '')
  const waitMs = retryAfterMs(retryAfter)
  return {
    ...failureOf(meaning, what, cause),
    status,
    ...(reason !== undefined && { reason }),
    ...(waitMs !== undefined && { retryAfterMs: waitMs }),
    ...(!Number.isNaN(answeredAt) && { answeredAt: new Date(answeredAt) }),
  }
}

/** What a status means; `own` has what the service says in words of its own. */
export function meaningOfStatus(status: number, own: Readonly<Record<number, Meaning>>): Meaning {
  const meaning = own[status]
  if (meaning) return meaning
  if (status === 409 || status === 412) return MEANING.lost
  if (status === 408 || status === 429) return MEANING.throttled
  if (status === 405 || status === 501 || status === 505) {
    return { code: 'UNSUPPORTED', text: 'the service does not know this request' }
  }
  if (status >= 500) return MEANING.busy
  return { code: 'UNSUPPORTED', text: 'the service does not accept the request' }
}

/**
 * `meaning`, or `wrong` with a hint where the service's `Date` shows that the clock of this machine is
 * so far off that it refuses signatures and tokens.
 */
export function withClock(meaning: Meaning, date: string | undefined, wrong = meaning): Meaning {
  const minutes = clockSkewMinutes(date)
  if (minutes === undefined) return meaning
  return { ...wrong, hint: `this machine's clock is ${minutes} minutes off: set it` }
}

/** `s3://bucket` of `s3://bucket/key`; any other text as it is. */
function bucketOf(what: string): string {
  return /^[a-z0-9]+:\/\/[^/]+(?=\/)/.exec(what)?.[0] ?? what
}

const UNTRUSTED: Meaning = {
  code: 'UNSUPPORTED',
  text: 'the certificate of the service is not trusted',
  hint: 'name the certificate of its authority in NODE_EXTRA_CA_CERTS',
}
// Which of both it is, only a text of OpenSSL says.
const NO_TLS: Meaning = {
  code: 'UNAVAILABLE',
  text: 'the service did not agree on a TLS connection',
  hint: 'check that the endpoint is meant to be https, and not http',
}

const NO_LISTENER = 'nothing answers at this address'
const UNKNOWN_HOST = 'the host name is not known'

/** What the codes of Node's sockets mean. */
const SOCKET_CODES: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: {
    ...UNREACHABLE,
    text: UNKNOWN_HOST,
    hint: 'check the spelling of the host name and the network',
    retryable: false,
  },
  EPROTO: NO_TLS,
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_PROXY_TUNNEL: {
    ...UNREACHABLE,
    text: 'the proxy makes no connection to it',
    hint: 'check HTTPS_PROXY and NO_PROXY',
  },
  EAI_AGAIN: { ...UNREACHABLE, text: 'the host name could not be looked up' },
  ECONNREFUSED: { ...UNREACHABLE, text: NO_LISTENER },
  ECONNRESET: UNREACHABLE,
  ECONNABORTED: UNREACHABLE,
  EPIPE: UNREACHABLE,
  ETIMEDOUT: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETDOWN: UNREACHABLE,
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

/**
 * What a failed connection means: DNS, TLS, refused, reset. `undefined` when `error` is none.
 * Looks through `cause`s, since clients wrap what the socket said.
 */
export function networkFailure(error: unknown, what: string): Failure | undefined {
  let current = error
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    const code = codeOf(current)
    const meaning = SOCKET_CODES[code] ?? (isProtocolCode(code) ? UNREACHABLE : undefined)
    if (meaning) {
      const text = withPlace(meaning.text, current)
      // A proxy's URL may hold a password.
      const message = current.message.replaceAll(/\/\/[^/\s]*@/g, '//')
      return failureOf({ ...meaning, text }, what, new Error(`${code}: ${message}`))
    }
    // Two addresses of one name failed: the errors of both are in a list.
    const [first] = current instanceof AggregateError ? (current.errors as unknown[]) : []
    current = first ?? current.cause
  }
  return undefined
}

/** The reader may not know which endpoint a setting or a profile has named. */
function withPlace(text: string, error: Error): string {
  if (text === NO_LISTENER && 'address' in error && 'port' in error) {
    const { address, port } = error
    if (typeof address !== 'string' || typeof port !== 'number') return text
    return `nothing answers at ${address.includes(':') ? `[${address}]` : address}:${port}`
  }
  if (text === UNKNOWN_HOST && 'hostname' in error && typeof error.hostname === 'string') {
    return `the host name ${error.hostname} is not known`
  }
  return text
}

/** An attempt that made no progress for `stallMs` milliseconds. */
export function stalled(what: string, stallMs: number): Failure {
  return failureOf({ ...UNREACHABLE, text: `the service was silent for ${stallMs / 1000} s` }, what)
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

/** A `Retry-After` header (RFC 9110, 10.2.3) in milliseconds from `now`; `undefined` when it says nothing. */
export function retryAfterMs(value: string | undefined, now = Date.now()): number | undefined {
  if (value === undefined || value.trim() === '') return undefined
  const seconds = Number(value)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000)
  const until = Date.parse(value) - now
  return Number.isFinite(until) ? Math.max(0, until) : undefined
}

/** Minutes between this machine's clock and a `Date` header, when a signature could fail by them. */
export function clockSkewMinutes(date: string | undefined, now = Date.now()): number | undefined {
  const minutes = Math.round(Math.abs(now - Date.parse(date ?? '')) / 60_000)
  // Services accept requests that are at most 15 minutes off.
  return minutes >= 14 ? minutes : undefined
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** `HPE_…` are errors of Node's HTTP parser, `ERR_SSL_…` of its TLS, `UND_ERR_…` of undici. */
function isProtocolCode(code: string): boolean {
  return ['HPE_', 'ERR_SSL_', 'ERR_HTTP_', 'UND_ERR_'].some((start) => code.startsWith(start))
}
