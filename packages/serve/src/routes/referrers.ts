import {
  type Descriptor,
  isDigest,
  isManifestMediaType,
  MEDIA_TYPE,
  parseManifest,
  referrersTagOf,
} from '@s3lo/core'
import { type Answer, jsonAnswer } from '../answer/answer.ts'
import type { Call } from '../call.ts'
import type { Parts } from '../parts.ts'
import { nextLink } from '../request/page.ts'
import type { Route } from '../request/route.ts'

type ReferrersRoute = Extract<Route, { kind: 'referrers' }>

/** A page is full when it has so many descriptors, or so many bytes of them. */
const MAX_REFERRERS = 1000
const MAX_PAGE_BYTES = 2 * 1024 * 1024

/** GET of what refers to a manifest (end-12), in the order of digests; an unknown subject has nothing. */
export async function listReferrers(
  parts: Parts,
  route: ReferrersRoute,
  { path, query, signal }: Call,
): Promise<Answer> {
  const artifactType = query.get('artifactType') ?? undefined
  const last = query.get('last') ?? undefined
  const after = last !== undefined && isDigest(last) ? last : undefined
  const manifests: Descriptor[] = []
  let bytes = 0
  let next: string | undefined
  for await (const descriptor of referrersOf(parts, route, after, signal)) {
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

/** What the store lists, and what clients of other registries have kept in the tag for that. */
async function* referrersOf(
  parts: Parts,
  route: ReferrersRoute,
  after: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Descriptor> {
  const subject = { mediaType: MEDIA_TYPE.octetStream, digest: route.digest, size: 0 }
  const kept = await keptInTag(parts, route, signal)
  let at = kept.findIndex(({ digest }) => after === undefined || digest > after)
  if (at < 0) at = kept.length
  const options = { after, signal }
  for await (const entry of parts.store.referrers(route.repository, subject, options)) {
    for (let next = kept[at]; next && next.digest <= entry.digest; next = kept[++at]) {
      if (next.digest < entry.digest) yield next
    }
    yield entry
  }
  yield* kept.slice(at)
}

/**
 * The entries of the index that a store has where images came from a registry without referrers
 * (distribution spec v1.1.1, "referrers tag schema"), each once, in the order of digests.
 */
async function keptInTag(
  { manifests }: Parts,
  { repository, digest }: ReferrersRoute,
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  const tag = referrersTagOf(digest)
  const found = await manifests.read({ name: repository, tag }, { signal })
  const manifest = found && parseManifest(found.content, tag)
  if (manifest?.kind !== 'index') return []
  const entries = new Map<string, Descriptor>()
  for (const entry of manifest.manifests) {
    if (isManifestMediaType(entry.mediaType)) entries.set(entry.digest, entry)
  }
  return [...entries.values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
}
