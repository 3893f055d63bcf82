import { asObject, asString, type ObjectInfo, optional, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type CopySettings,
  ForeignAnswerError,
  RequestError,
} from '@s3lo/core/transfer'
import { assertKey, type GcsClient, objectPath } from './gcs-client.ts'
import { encodeStrictly } from './signed-request.ts'
import { OBJECT_FIELDS, toObjectInfo } from './object-info.ts'

/** One call copies up to this much where bytes have to move: to another location or class. */
const MOST_CALLS = 100_000

/** The end of a copy. */
export interface CopyTarget {
  readonly bucket: string
  readonly key: string
}

/**
 * Lets the service copy an object of any size. It appears whole with the last of perhaps several
 * calls; a copy that is given up leaves nothing. Throws a missing source as status 404,
 * and one of another generation than is asked for as 412.
 */
export async function rewriteObject(
  source: GcsClient,
  sourceKey: string,
  { bucket, key }: CopyTarget,
  settings: CopySettings,
): Promise<ObjectInfo> {
  assertKey(key)
  const path = `${objectPath(sourceKey)}/rewriteTo/b/${encodeStrictly(bucket)}/o/${encodeStrictly(key)}`
  let token: string | undefined
  let mayHaveLanded = false
  const onRetry = (): void => {
    mayHaveLanded = true
  }
  for (let calls = 0; calls < MOST_CALLS; calls += 1) {
    const step = await source.requests
      .trySend({ ...settings, onRetry }, (attempt) =>
        rewriteOnce(source, path, { token, ifSourceGenerationMatch: settings.sourceEtag }, attempt),
      )
      .catch((error: unknown) => {
        // The token of a call whose answer was lost may be used up: the copy is made anew, once.
        if (token === undefined || !mayHaveLanded || !isUsedUp(error)) throw error
        mayHaveLanded = false
        return { token: undefined }
      })
    if ('info' in step) return step.info
    token = step.token
  }
  throw new S3loError('UNAVAILABLE', `${settings.what}: the copy does not come to an end`)
}

type RewriteStep = { readonly info: ObjectInfo } | { readonly token: string | undefined }

async function rewriteOnce(
  source: GcsClient,
  path: string,
  {
    token: rewriteToken,
    ifSourceGenerationMatch,
  }: { readonly token: string | undefined; readonly ifSourceGenerationMatch: string | undefined },
  attempt: Attempt,
): Promise<RewriteStep> {
  const fields = `done,rewriteToken,resource(${OBJECT_FIELDS})`
  const query = { rewriteToken, ifSourceGenerationMatch, fields }
  const answer = await source.json({ method: 'POST', path, query }, attempt)
  if (answer['done'] === true) {
    return { info: toObjectInfo(asObject(answer['resource'], 'the copy')) }
  }
  const token = optional(answer, 'rewriteToken', 'the copy', asString)
  if (token === undefined) throw new ForeignAnswerError('a copy without a token to continue with')
  return { token }
}

function isUsedUp(error: unknown): boolean {
  const status = error instanceof RequestError ? error.failure.status : undefined
  return status === 400 || status === 410
}
