import { MEDIA_TYPE, type ImageStore } from '@s3lo/core'
import type { Answer, AnswerHeaders } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import { attachmentHeaders } from '../answer/headers.ts'
import { redirectTo } from '../answer/redirect.ts'
import type { Call } from '../call.ts'
import type { RegistryOptions } from '../options.ts'
import { parseRange } from '../request/range.ts'
import type { Route } from '../request/route.ts'

type BlobRoute = Extract<Route, { kind: 'blob' }>

/** GET and HEAD of a blob (end-2), whole or a range of it. */
export async function getBlob(
  { backend, blobs }: ImageStore,
  { redirect }: RegistryOptions,
  { digest }: BlobRoute,
  { method, request, signal }: Call,
): Promise<Answer> {
  const found = await blobs.find(digest, { signal })
  if (!found) throw unknownBlob(digest)
  const { size } = found
  const descriptor = { mediaType: MEDIA_TYPE.octetStream, digest, size }
  const headers: AnswerHeaders = {
    'docker-content-digest': digest,
    'content-type': MEDIA_TYPE.octetStream,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    ...attachmentHeaders(request),
  }
  if (method === 'HEAD') return { status: 200, headers: { ...headers, 'content-length': size } }
  const elsewhere =
    redirect && found.key !== undefined
      ? await redirectTo(backend, found.key, redirect, { 'docker-content-digest': digest })
      : undefined
  if (elsewhere) return elsewhere
  const range = parseRange(request.headers.range, size)
  if (range === 'unsatisfiable') throw unsatisfiable(size)
  if (range === undefined) {
    const body = await blobs.open(descriptor, { signal })
    return { status: 200, headers: { ...headers, 'content-length': size }, body }
  }
  const body = await blobs.open(descriptor, { range, signal })
  const partial = {
    'content-length': range.end - range.start,
    'content-range': `bytes ${range.start}-${range.end - 1}/${size}`,
  }
  return { status: 206, headers: { ...headers, ...partial }, body }
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
