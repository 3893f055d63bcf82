import type { ErrorCode } from '../errors.ts'

/** What an error code of the distribution specification means. */
export interface DistributionError {
  /** The status that a registry answers with. */
  readonly status: number
  /** The error of ours that a client makes of it. */
  readonly code: ErrorCode
}

/** The error codes of a registry (OCI distribution-spec v1.1.1, "Error Codes"). */
const DISTRIBUTION_ERRORS = {
  BLOB_UNKNOWN: { status: 404, code: 'NOT_FOUND' },
  BLOB_UPLOAD_INVALID: { status: 400, code: 'UNSUPPORTED' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, code: 'NOT_FOUND' },
  DENIED: { status: 403, code: 'FORBIDDEN' },
  DIGEST_INVALID: { status: 400, code: 'INTEGRITY' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, code: 'NOT_FOUND' },
  MANIFEST_INVALID: { status: 400, code: 'UNSUPPORTED' },
  MANIFEST_UNKNOWN: { status: 404, code: 'NOT_FOUND' },
  NAME_INVALID: { status: 400, code: 'INVALID_REFERENCE' },
  NAME_UNKNOWN: { status: 404, code: 'NOT_FOUND' },
  SIZE_INVALID: { status: 400, code: 'INTEGRITY' },
  TOOMANYREQUESTS: { status: 429, code: 'UNAVAILABLE' },
  UNAUTHORIZED: { status: 401, code: 'UNAUTHORIZED' },
  UNSUPPORTED: { status: 405, code: 'UNSUPPORTED' },
} as const satisfies Readonly<Record<string, DistributionError>>

/** An error code of the specification. */
export type DistributionCode = keyof typeof DISTRIBUTION_ERRORS

/** What a code of a registry means; nothing where the specification does not have it. */
export function distributionError(reason: string): DistributionError | undefined {
  return Object.hasOwn(DISTRIBUTION_ERRORS, reason)
    ? DISTRIBUTION_ERRORS[reason as DistributionCode]
    : undefined
}
