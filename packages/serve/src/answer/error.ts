import { type DistributionCode, distributionError, isS3loError } from '@s3lo/core'
import type { Answer, AnswerHeaders } from './answer.ts'

/** How a refusal differs from what its code implies. */
export interface RefusalOptions {
  /** Default: the status of the code. */
  readonly status?: number
  readonly headers?: AnswerHeaders
  /** For programs: what of the request is meant. */
  readonly detail?: unknown
}

/** One entry of an answer's list of errors. */
interface ReportedError {
  readonly code: DistributionCode | 'UNKNOWN'
  readonly message: string
  readonly detail?: unknown
}

/**
 * Ends a request with errors of the distribution specification (v1.1.1, "Error Codes"). Clients show
 * the message to people, so it says what can be done.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: DistributionCode
  readonly options: RefusalOptions

  constructor(code: DistributionCode, message: string, options: RefusalOptions = {}) {
    super(message)
    this.code = code
    this.options = options
  }
}

/** Refuses with one error of the same code for each detail: every blob that a manifest lacks. */
export class RefusalOfEach extends Refusal {
  readonly details: readonly unknown[]

  constructor(code: DistributionCode, message: string, details: readonly unknown[]) {
    super(code, message)
    this.details = details
  }
}

/** How long a client waits where nothing tells it better (seconds). */
const RETRY_SECONDS = 5

/** The answer to a request that failed. What is not the client's to know stays in the log. */
export function errorAnswer(error: unknown): Answer {
  if (error instanceof Refusal) return refusalAnswer(error)
  const isDamagedOnItsWay = isS3loError(error, 'INTEGRITY') && !error.contentFault
  if (isS3loError(error, 'UNAVAILABLE') || isDamagedOnItsWay) {
    return errorsAnswer(503, [report('UNKNOWN', 'the store cannot be reached: try again later')], {
      'retry-after': RETRY_SECONDS,
    })
  }
  if (isS3loError(error, 'INTEGRITY')) {
    return errorsAnswer(500, [report('UNKNOWN', 'what the store holds here is damaged')])
  }
  return errorsAnswer(500, [
    report('UNKNOWN', 'the request failed: the log of the server says why'),
  ])
}

export function refusalAnswer(refusal: Refusal): Answer {
  const { code, message, options } = refusal
  const status = options.status ?? distributionError(code)?.status ?? 400
  const details = refusal instanceof RefusalOfEach ? refusal.details : [options.detail]
  const errors = details.map((detail) => report(code, message, detail))
  return errorsAnswer(status, errors, options.headers)
}

function report(code: ReportedError['code'], message: string, detail?: unknown): ReportedError {
  return { code, message, ...(detail === undefined ? {} : { detail }) }
}

function errorsAnswer(
  status: number,
  errors: readonly ReportedError[],
  headers: AnswerHeaders = {},
): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: `${JSON.stringify({ errors })}\n`,
  }
}
