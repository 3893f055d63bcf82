import { type Attempt, ForeignAnswerError } from '@s3lo/core/transfer'
import type { S3Answer } from './answer-check.ts'
import { type CredentialProvider, remembered } from './credentials.ts'
import { dateOf } from './object-info.ts'
import type { S3Request } from './s3-request.ts'
import type { Credentials } from './signature.ts'
import { textOf } from './xml.ts'

/** A session lasts five minutes; so long before its end there is another one (milliseconds). */
const RENEWED_BEFORE_MS = 60_000
const OPENING: S3Request = { operation: 'CreateSession', query: { session: '' } }

/**
 * The keys of sessions, which a directory bucket takes in place of an access key. `send` sends a
 * request that is signed with the access key, and gives it up after `limitMs`.
 */
export function sessionKeys(
  send: (request: S3Request, attempt: Attempt) => Promise<S3Answer>,
  limitMs: number,
): CredentialProvider {
  return remembered(
    async () => sessionIn(await send(OPENING, sharedAttempt(limitMs))),
    RENEWED_BEFORE_MS,
  )
}

/** For all that wait for a session: none of them can end it. */
function sharedAttempt(limitMs: number): Attempt {
  const nothing = (): void => {}
  return {
    signal: AbortSignal.timeout(limitMs),
    progress: nothing,
    received: nothing,
    expectSilence: nothing,
    advanced: nothing,
  }
}

function sessionIn({ document }: S3Answer): Credentials {
  const found = document?.children.find(({ name }) => name === 'Credentials')
  const named = (name: string): string => (found && textOf(found, name)) || ''
  const [accessKeyId, secretAccessKey] = [named('AccessKeyId'), named('SecretAccessKey')]
  const [sessionToken, expiration] = [named('SessionToken'), dateOf(named('Expiration'))]
  if (!accessKeyId || !secretAccessKey || !sessionToken) {
    throw new ForeignAnswerError('expected the key of a session, got none')
  }
  const key = { accessKeyId, secretAccessKey, sessionToken, isOfDirectory: true }
  return { ...key, ...(expiration && { expiration }) }
}
