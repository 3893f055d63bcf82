import { isDigest, isManifestMediaType, MEDIA_TYPE, type Reference } from '@s3lo/core'
import type { Answer } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import { attachmentHeaders } from '../answer/headers.ts'
import type { Call } from '../call.ts'
import { judgeFor, type Parts } from '../parts.ts'
import { matchesEtag } from '../request/etag.ts'
import type { Route } from '../request/route.ts'

type ManifestRoute = Extract<Route, { kind: 'manifest' }>

/** GET and HEAD of a manifest (end-3). `Accept` is a hint only: what is stored is answered. */
export async function getManifest(parts: Parts, route: ManifestRoute, call: Call): Promise<Answer> {
  const { request, signal } = call
  const reference = referenceOf(route)
  const found = await parts.manifests.read(reference, { signal })
  if (!found) throw unknownManifest(route)
  await judgeFor(parts, route.repository, call)?.assertManifest(reference, found, { signal })
  const { content, digest, mediaType } = found
  const etag = `"${digest}"`
  const headers = { 'docker-content-digest': digest, etag }
  const { 'if-none-match': known } = request.headers
  if (known !== undefined && matchesEtag(known, etag)) return { status: 304, headers }
  return {
    status: 200,
    headers: {
      ...headers,
      // A type that the manifest gives itself may be one that browsers render.
      'content-type': isManifestMediaType(mediaType) ? mediaType : MEDIA_TYPE.octetStream,
      'content-length': content.byteLength,
      ...attachmentHeaders(request),
    },
    body: content,
  }
}

function referenceOf({ repository, reference }: ManifestRoute): Reference {
  return isDigest(reference)
    ? { name: repository, digest: reference }
    : { name: repository, tag: reference }
}

export function unknownManifest({ repository, reference }: ManifestRoute): Refusal {
  return new Refusal('MANIFEST_UNKNOWN', `${repository} has no manifest ${reference}`, {
    detail: { name: repository, reference },
  })
}
