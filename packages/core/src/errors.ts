/** Every way an operation can fail, by meaning. The exit status of each is in {@link EXIT_STATUS}. */
export type ErrorCode =
  | 'USAGE'
  | 'INVALID_REFERENCE'
  | 'INTEGRITY'
  | 'NOT_FOUND'
  | 'PLUGIN_NOT_INSTALLED'
  | 'PLUGIN_INCOMPATIBLE'
  | 'UNSUPPORTED'
  | 'INTERNAL'
  | 'CONFLICT'
  | 'IO'
  | 'UNAVAILABLE'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'ABORTED'

/** The exit status of a process that ends with an error of each code (sysexits.h numbers). */
export const EXIT_STATUS: Readonly<Record<ErrorCode, number>> = {
  USAGE: 64,
  INVALID_REFERENCE: 64,
  INTEGRITY: 65,
  NOT_FOUND: 66,
  PLUGIN_NOT_INSTALLED: 69,
  PLUGIN_INCOMPATIBLE: 69,
  UNSUPPORTED: 69,
  INTERNAL: 70,
  CONFLICT: 73,
  IO: 74,
  UNAVAILABLE: 75,
  UNAUTHORIZED: 77,
  FORBIDDEN: 77,
  ABORTED: 130,
}

/** Where a transfer failed, as data. */
export interface FailureDetails {
  /** The end of a copy, push or pull that failed. */
  readonly side?: 'source' | 'target'
  /** The content that was being moved. */
  readonly digest?: string
  /** The platform that needs it: `os/arch[/variant]`, where there are several. */
  readonly platform?: string
  /** The limit (bytes) that content exceeds. */
  readonly limit?: number
}

/** What an error may carry beside its code and message. */
export interface ErrorDetails {
  /** The next thing to type or check, as one clause. */
  readonly hint?: string | undefined
  readonly cause?: unknown
  /** See {@link S3loError.contentFault}. */
  readonly contentFault?: boolean | undefined
  readonly details?: FailureDetails | undefined
}

/** Shared by every copy of this package in a process, so that errors are recognised without `instanceof`. */
const BRAND = Symbol.for('s3lo.error')

/**
 * The one error class of s3lo. The message is a lower-case clause that names the reference;
 * `hint` is the next thing to do.
 */
export class S3loError extends Error {
  override readonly name = 'S3loError'
  readonly code: ErrorCode
  readonly hint?: string
  /** True when the stored content is at fault, not the access to it, for any code. */
  readonly contentFault: boolean
  readonly details?: FailureDetails
  readonly [BRAND] = true

  constructor(code: ErrorCode, message: string, given: ErrorDetails = {}) {
    const { hint, cause, contentFault, details } = given
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    if (hint !== undefined) this.hint = hint
    if (details !== undefined) this.details = details
    this.contentFault = contentFault ?? (code === 'INTEGRITY' || code === 'UNSUPPORTED')
  }
}

/** True for an error of s3lo (from any copy of this package), and of `code` where one is given. */
export function isS3loError(error: unknown, code?: ErrorCode): error is S3loError {
  return (
    typeof error === 'object' &&
    error !== null &&
    BRAND in error &&
    (code === undefined || (error as S3loError).code === code)
  )
}

/** Adds to an error what it does not say yet. */
export function addDetails(error: S3loError, details: FailureDetails): S3loError {
  return Object.assign(error, { details: { ...details, ...error.details } })
}

/**
 * Passes an s3lo error through and wraps anything else, for the edge where a foreign failure gets
 * its meaning.
 */
export function toS3loError(error: unknown, code: ErrorCode, message: string): S3loError {
  if (isS3loError(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new S3loError(code, `${message}: ${reason}`, { cause: error })
}
