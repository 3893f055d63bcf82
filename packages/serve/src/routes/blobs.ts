import { type FoundBlob, isS3loError, MEDIA_TYPE } from '@s3lo/core'
import type { Answer, AnswerHeaders } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import { attachmentHeaders } from '../answer/headers.ts'
import { redirectTo } from '../answer/redirect.ts'
import type { Call } from '../call.ts'
import type { Parts } from '../parts.ts'
import { clientAddress } from '../request/client.ts'
import { isRangeOfStores, parseRange } from '../request/range.ts'
import type { Route } from '../request/route.ts'

type BlobRoute = Extract<Route, { kind: 'blob' }>

/** GET and HEAD of a blob (end-2), whole or a range of it. */
export async function getBlob(parts: Parts, route: BlobRoute, call: Call): Promise<Answer> {
  const { method, request, signal } = call
  const { digest } = route
  const found = await findBlob(parts, route, call)
  if (!found) throw unknownBlob(digest)
  const { size } = found
  const headers: AnswerHeaders = {
    'docker-content-digest': digest,
    'content-type': MEDIA_TYPE.octetStream,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    ...attachmentHeaders(request),
  }
  if (method === 'HEAD') return { status: 200, headers: { ...headers, 'content-length': size } }
  const { blobs, backend } = parts.store
  const range = parseRange(request.headers.range, size)
  if (range === 'unsatisfiable') throw unsatisfiable(size)
  const { redirect, addressOf = clientAddress } = parts.options
  const elsewhere =
    redirect && found.key !== undefined && isRangeOfStores(request.headers.range)
      ? await redirectTo(
          backend,
          {
            key: found.key,
            address: addressOf(request),
            headers: { 'docker-content-digest': digest },
          },
          redirect,
        )
      : undefined
  if (elsewhere) return elsewhere
  const descriptor = { mediaType: MEDIA_TYPE.octetStream, digest, size }
  const body = await blobs.open(descriptor, { range, signal })
  if (!range) return { status: 200, headers: { ...headers, 'content-length': size }, body }
  const partial = {
    'content-length': range.end - range.start,
    'content-range': `bytes ${range.start}-${range.end - 1}/${size}`,
  }
  return { status: 206, headers: { ...headers, ...partial }, body }
}

/** DELETE of a blob (end-10): it is no longer the repository's. */
export async function deleteBlob(
  { membership }: Parts,
  { repository, digest }: BlobRoute,
  { signal }: Call,
): Promise<Answer> {
  try {
    if (await membership.unlink(repository, digest, { signal })) return { status: 202 }
  } catch (error) {
    if (!isS3loError(error, 'CONFLICT')) throw error
    const root = error.details?.digest
    throw new Refusal('UNSUPPORTED', `${repository} needs the blob: delete ${root} first`, {
      detail: { digest: root },
    })
  }
  throw unknownBlob(digest)
}

/** A client that looks for a blob which it may push will not send it: it is kept for its manifest. */
function findBlob(
  { membership, options }: Parts,
  { repository, digest }: BlobRoute,
  { method, principal, signal }: Call,
): Promise<FoundBlob | undefined> {
  const mayPush = !options.readOnly && principal.may({ action: 'push', repository })
  return method === 'HEAD' && mayPush
    ? membership.claim(repository, digest, { signal })
    : membership.find(repository, digest, { signal })
}

function unknownBlob(digest: string): Refusal {
  return new Refusal('BLOB_UNKNOWN', `there is no blob ${digest}`, { detail: { digest } })
}

function unsatisfiable(size: number): Refusal {
  return new Refusal('SIZE_INVALID', `the range has nothing of the blob's ${size} bytes`, {
    status: 416,
    headers: { 'content-range': `bytes */${size}` },
  })
}
