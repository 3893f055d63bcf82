import { type Descriptor, type ImageStore, isDigest, MEDIA_TYPE } from '@s3lo/core'
import { type Answer, jsonAnswer } from '../answer/answer.ts'
import type { Call } from '../call.ts'
import { nextLink } from '../request/page.ts'
import type { Route } from '../request/route.ts'

/** A page is full when it has so many descriptors, or so many bytes of them. */
const MAX_REFERRERS = 1000
const MAX_PAGE_BYTES = 2 * 1024 * 1024

/** GET of what refers to a manifest (end-12), in the order of digests; an unknown subject has nothing. */
export async function listReferrers(
  store: ImageStore,
  { repository, digest }: Extract<Route, { kind: 'referrers' }>,
  { path, query, signal }: Call,
): Promise<Answer> {
  const artifactType = query.get('artifactType') ?? undefined
  const last = query.get('last') ?? undefined
  const after = last !== undefined && isDigest(last) ? last : undefined
  const subject = { mediaType: MEDIA_TYPE.octetStream, digest, size: 0 }
  const manifests: Descriptor[] = []
  let bytes = 0
  let next: string | undefined
  for await (const descriptor of store.referrers(repository, subject, { after, signal })) {
    if (artifactType !== undefined && descriptor.artifactType !== artifactType) continue
    bytes += JSON.stringify(descriptor).length
    const isFull = manifests.length === MAX_REFERRERS || bytes > MAX_PAGE_BYTES
    if (isFull && manifests.length > 0) {
      next = manifests.at(-1)?.digest
      break
    }
    manifests.push(descriptor)
  }
  const filter = artifactType === undefined ? {} : { artifactType }
  return jsonAnswer(
    { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests },
    {
      'content-type': MEDIA_TYPE.ociIndex,
      ...(artifactType === undefined ? {} : { 'oci-filters-applied': 'artifactType' }),
      ...(next === undefined ? {} : { link: nextLink(path, { ...filter, last: next }) }),
    },
  )
}
