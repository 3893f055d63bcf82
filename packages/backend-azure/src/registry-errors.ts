import { type Failure, failureOf, type Meaning, retryAfterMs } from '@s3lo/core/transfer'
import { toFailure } from './errors.ts'

/** A registry's refusal. Holds no token. */
export class RegistryAnswerError extends Error {
  override readonly name = 'RegistryAnswerError'
  readonly status: number
  readonly retryAfter: string | undefined

  constructor({ status, headers }: Response) {
    super(`HTTP ${status}`)
    this.status = status
    this.retryAfter = headers.get('retry-after') ?? undefined
  }
}

/** Says what a failure to log in at a registry means. */
export function toRegistryFailure(error: unknown, what: string): Failure {
  if (!(error instanceof RegistryAnswerError)) return toFailure(error, what)
  const { status, retryAfter } = error
  const waitMs = retryAfterMs(retryAfter)
  return {
    ...failureOf(meaningOf(status), what, new Error(error.message)),
    status,
    ...(waitMs !== undefined && { retryAfterMs: waitMs }),
  }
}

function meaningOf(status: number): Meaning {
  if (status === 408 || status === 429 || status >= 500) {
    return {
      code: 'UNAVAILABLE',
      text: 'the registry cannot exchange the token now',
      hint: 'try again later',
      retryable: true,
    }
  }
  if (status < 400 || status === 404) {
    return {
      code: 'UNSUPPORTED',
      text: 'the registry exchanges no tokens of Microsoft Entra',
      hint: 'log in with: docker login',
    }
  }
  return {
    code: 'UNAUTHORIZED',
    text: 'the registry does not accept the Azure identity',
    hint: 'give it the role AcrPull or AcrPush, or log in with: docker login',
  }
}
