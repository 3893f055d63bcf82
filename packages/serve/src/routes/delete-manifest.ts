import { deleteTag, isDigest, isS3loError } from '@s3lo/core'
import type { Answer } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import type { Call } from '../call.ts'
import { MAX_WAIT_MS, type Parts } from '../parts.ts'
import type { Route } from '../request/route.ts'
import { unknownManifest } from './manifests.ts'

type ManifestRoute = Extract<Route, { kind: 'manifest' }>

/**
 * DELETE of a manifest (end-9). Of a tag, what it names stays pullable by its digest for a while; a
 * digest goes at once, with the tags that name it; what an index lists was pushed by its own digest,
 * and stays.
 */
export async function deleteManifest(
  { store }: Parts,
  route: ManifestRoute,
  { signal }: Call,
): Promise<Answer> {
  const { repository: name, reference } = route
  const { scheme, bucket } = store.backend
  const named = isDigest(reference) ? { digest: reference } : { tag: reference }
  try {
    const place = { scheme, bucket, name, ...named }
    const asRegistry = { keepChildren: true, alsoIn: false, maxWaitMs: MAX_WAIT_MS }
    await deleteTag(store, place, { ...asRegistry, signal })
    return { status: 202 }
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) throw unknownManifest(route)
    if (isS3loError(error, 'CONFLICT')) throw new Refusal('DENIED', `${name} is immutable`)
    if (isS3loError(error, 'USAGE')) throw new Refusal('UNSUPPORTED', 'delete a tag, not a digest')
    throw error
  }
}
