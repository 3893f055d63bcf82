import type { Answer } from '../answer/answer.ts'
import { Refusal, refusalAnswer } from '../answer/error.ts'
import type { Authentication } from './authenticate.ts'

/** The answer to credentials that were not looked at. */
export function refuseForNow({ why, seconds }: Extract<Authentication, { kind: 'later' }>): Answer {
  const message =
    why === 'issuer'
      ? 'the issuer of the token does not answer: try again later'
      : why === 'slowed'
        ? 'too many wrong log-ins from this address: try again later'
        : 'too many log-ins at once: try again'
  return refusalAnswer(
    new Refusal('TOOMANYREQUESTS', message, {
      status: why === 'issuer' ? 503 : 429,
      headers: { 'retry-after': seconds },
    }),
  )
}

export function unauthorized(message: string, challenge: string): Answer {
  return refusalAnswer(
    new Refusal('UNAUTHORIZED', message, { headers: { 'www-authenticate': challenge } }),
  )
}

export interface Challenge {
  readonly origin: string | undefined
  readonly service: string
  readonly scope: string | undefined
  readonly error: string | undefined
}

/** A Bearer challenge (RFC 6750, Docker's token specification); Basic where no realm can be named. */
export function formatChallenge({ origin, service, scope, error }: Challenge): string {
  if (origin === undefined) return `Basic realm="${service}"`
  const parameters = Object.entries({ realm: `${origin}/token`, service, scope, error })
  return `Bearer ${parameters
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}="${value}"`]))
    .join(',')}`
}
