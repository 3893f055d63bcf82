import {
  type DigestAlgorithm,
  isDigest,
  isS3loError,
  type UploadName,
  type Uploads,
} from '@s3lo/core'
import type { Answer, AnswerHeaders } from '../answer/answer.ts'
import { Refusal } from '../answer/error.ts'
import type { Call } from '../call.ts'
import type { Parts } from '../parts.ts'
import { type ChunkRange, parseContentRange } from '../request/content-range.ts'
import { invalidDigest, isRepositoryName, type Route } from '../request/route.ts'

type UploadsRoute = Extract<Route, { kind: 'uploads' }>
type UploadRoute = Extract<Route, { kind: 'upload' }>

/** POST (end-4a, end-4b, end-4c, end-11): a whole blob, or the begin of an upload. */
export async function beginUpload(
  parts: Parts,
  { repository }: UploadsRoute,
  call: Call,
): Promise<Answer> {
  const { uploads } = parts
  const { query, request, signal } = call
  const mount = query.get('mount')
  if (mount !== null && (await isMounted(parts, { repository, digest: mount }, call))) {
    return created(repository, mount)
  }
  const digest = query.get('digest')
  if (digest !== null) {
    if (!isDigest(digest)) throw invalidDigest(digest)
    const size = lengthOf(call)
    await uploads.putBlob(repository, digest, request, { size, signal }).catch(wrongContent)
    return created(repository, digest)
  }
  const algorithm = algorithmOf(query.get('digest-algorithm') ?? undefined)
  const upload = await uploads.begin(repository, { algorithm, signal })
  return progress(upload, upload.offset, 202)
}

/** PATCH, PUT, GET and DELETE of an upload (end-5, end-6, end-13, end-14). */
export async function continueUpload(
  { uploads }: Parts,
  { repository, id }: UploadRoute,
  call: Call,
): Promise<Answer> {
  const upload = { repository, id }
  switch (call.method) {
    case 'PATCH':
      return append(uploads, upload, call)
    case 'PUT':
      return finish(uploads, upload, call)
    case 'GET':
    case 'HEAD': {
      const status = await uploads.status(upload, { signal: call.signal })
      if (!status) throw unknownUpload()
      return progress(upload, status.offset, 204)
    }
    case 'DELETE':
      if (!(await uploads.cancel(upload, { signal: call.signal }))) throw unknownUpload()
      return { status: 204 }
    default:
      throw new Refusal('UNSUPPORTED', `${call.method} of an upload is not supported`)
  }
}

/** Where a blob is not there, or not the client's to read, the answer is an upload. */
async function isMounted(
  { membership }: Parts,
  { repository, digest }: { readonly repository: string; readonly digest: string },
  { principal, query, signal }: Call,
): Promise<boolean> {
  if (!isDigest(digest)) throw invalidDigest(digest)
  const from = query.get('from') ?? undefined
  const mayRead =
    from === undefined
      ? principal.pullsAll
      : isRepositoryName(from) && principal.may({ action: 'pull', repository: from })
  if (!mayRead) return false
  return (await membership.mount({ from, to: repository, digest }, { signal })) !== undefined
}

async function append(uploads: Uploads, upload: UploadName, call: Call): Promise<Answer> {
  const { first, size } = placeOf(call)
  const { request, signal } = call
  const { kind, offset } = await uploads
    .append(upload, first, request, { size, signal })
    .catch((error: unknown) => wrongUpload(error, 'SIZE_INVALID'))
  if (kind === 'appended') return progress(upload, offset, 202)
  throw outOfOrder(upload, offset)
}

async function finish(uploads: Uploads, upload: UploadName, call: Call): Promise<Answer> {
  const { query, request, signal } = call
  const digest = query.get('digest') ?? ''
  if (!isDigest(digest)) throw invalidDigest(digest)
  const last = hasBody(call) ? { ...placeOf(call), body: request } : undefined
  const given = last && { body: last.body, offset: last.first, size: last.size }
  const result = await uploads
    .finish(upload, digest, { ...given, signal })
    .catch((error: unknown) => wrongUpload(error, 'DIGEST_INVALID'))
  if (result.kind === 'stored') return created(upload.repository, digest)
  throw outOfOrder(upload, result.offset)
}

/** Where a body lies in its upload, and its length, as far as the client says. */
function placeOf(call: Call): { readonly first?: number; readonly size: number | undefined } {
  const size = lengthOf(call)
  const header = call.request.headers['content-range']
  if (header === undefined) return { size }
  const range = parseContentRange(header)
  if (!range) throw new Refusal('BLOB_UPLOAD_INVALID', 'Content-Range is not FIRST-LAST')
  const length = lengthOfRange(range)
  if (length >= 1 && (size === undefined || size === length))
    return { first: range.first, size: length }
  throw new Refusal('SIZE_INVALID', `Content-Range has ${length} bytes, and the body ${size}`)
}

function lengthOfRange({ first, last }: ChunkRange): number {
  return last - first + 1
}

function lengthOf({ request }: Call): number | undefined {
  const { 'content-length': length } = request.headers
  return length === undefined ? undefined : Number(length)
}

function hasBody(call: Call): boolean {
  return lengthOf(call) === undefined
    ? call.request.headers['transfer-encoding'] !== undefined
    : lengthOf(call) !== 0
}

function algorithmOf(name: string | undefined): DigestAlgorithm | undefined {
  if (name === undefined || name === 'sha256' || name === 'sha512') return name
  throw new Refusal('DIGEST_INVALID', 'the algorithm is neither sha256 nor sha512', {
    detail: { algorithm: name.slice(0, 64) },
  })
}

function created(repository: string, digest: string): Answer {
  const location = `/v2/${repository}/blobs/${digest}`
  return { status: 201, headers: { location, 'docker-content-digest': digest } }
}

function progress(upload: UploadName, offset: number, status: number): Answer {
  return { status, headers: whereOf(upload, offset) }
}

function whereOf({ repository, id }: UploadName, offset: number): AnswerHeaders {
  return {
    location: `/v2/${repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(offset - 1, 0)}`,
    'docker-upload-uuid': id,
  }
}

function outOfOrder(upload: UploadName, offset: number): Refusal {
  return new Refusal('BLOB_UPLOAD_INVALID', `the next byte of the upload is ${offset}`, {
    status: 416,
    headers: whereOf(upload, offset),
    detail: { offset },
  })
}

function unknownUpload(): Refusal {
  return new Refusal('BLOB_UPLOAD_UNKNOWN', 'there is no such upload: begin it again')
}

function wrongContent(error: unknown): never {
  refuseLarge(error)
  if (isS3loError(error, 'INTEGRITY') && error.contentFault) {
    throw new Refusal('DIGEST_INVALID', error.message)
  }
  throw error
}

/** The session is gone, or the body is not what was said. */
function wrongUpload(error: unknown, code: 'DIGEST_INVALID' | 'SIZE_INVALID'): never {
  refuseLarge(error)
  if (isS3loError(error, 'INTEGRITY') && error.contentFault) throw new Refusal(code, error.message)
  if (isS3loError(error, 'NOT_FOUND')) throw unknownUpload()
  if (isS3loError(error, 'UNSUPPORTED')) throw new Refusal('BLOB_UPLOAD_UNKNOWN', error.message)
  throw error
}

/** Throws where a blob is larger than it may be. */
function refuseLarge(error: unknown): void {
  const limit = isS3loError(error, 'UNSUPPORTED') ? error.details?.limit : undefined
  if (limit === undefined) return
  const message = `a blob has at most ${limit} bytes here`
  throw new Refusal('SIZE_INVALID', message, { status: 413, detail: { limit } })
}
