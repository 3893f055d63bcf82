import type { Attempt, HttpClient, HttpRequest, ObjectWrite } from '@s3lo/core/transfer'
import type { BucketAddress } from './address.ts'
import { type AnswerHeaders, readAnswer, type S3Answer } from './answer-check.ts'
import { factsOf, type Operation } from './operations.ts'
import {
  LONGEST_SIGNATURE_S,
  pathOf,
  queryString,
  signatureHeaders,
  signedQuery,
  type SigningScope,
  type UnsignedRequest,
} from './signature.ts'

/** A request of S3's REST API. */
export interface S3Request extends Pick<ObjectWrite, 'hold' | 'notAfter'> {
  readonly operation: Operation
  /** Without one it is about the bucket. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** SHA-256 of the body in hexadecimal digits, where it is known. */
  readonly sha256?: string | undefined
  /** What guards the body beside the hash of it that is signed. */
  readonly checksum?: 'md5' | 'sha256' | undefined
  /** How long the service may be silent at its work (milliseconds). */
  readonly silenceMs?: number
}

/** A request as it is sent, with all that authorises it. */
interface SignedRequest {
  readonly origin: URL
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** What is sent slower than this stands still. */
const SLOWEST_BYTES_PER_MS = 32
/** The most of a body that this machine keeps when all of it counts as sent. */
const MOST_KEPT_BYTES = 4 * 1024 * 1024

/** Signs a request for the address of a bucket: in its headers, or in its query where it has an end. */
export function signRequest(
  request: S3Request,
  address: BucketAddress,
  bucketScope: SigningScope,
): SignedRequest {
  const { operation, key = '', query = {}, notAfter } = request
  const { origin } = address
  const scope = { ...bucketScope, service: address.service }
  const { payload, headers: guards } = guardsOf(request)
  const headers = { ...request.headers, ...guards }
  const path = `${address.path}${pathOf(key)}`
  const unsigned = { method: factsOf(operation).method, host: origin.host, path, query, headers }
  if (notAfter !== undefined) {
    const signed = queryUntil(notAfter, unsigned, scope)
    return { origin, path: `${path}?${signed}`, headers: { ...headers, host: origin.host } }
  }
  const parameters = queryString(query)
  return {
    origin,
    path: parameters === '' ? path : `${path}?${parameters}`,
    headers: { ...headers, ...signatureHeaders(unsigned, scope, payload) },
  }
}

/** A URL that reads an object for so many seconds. */
export function presignedUrl(
  key: string,
  { origin, path, service }: BucketAddress,
  scope: SigningScope,
  seconds: number,
): string {
  const object = `${path}${pathOf(key)}`
  const unsigned = { method: 'GET', host: origin.host, path: object, query: {} }
  return `${origin.origin}${object}?${signedQuery(unsigned, { ...scope, service }, seconds)}`
}

/**
 * Sends one request, once. Throws `RefusalError`, `ForeignAnswerError`, and what the connection fails
 * with. `onHead` gets the headers of every answer.
 */
export async function sendRequest(
  http: HttpClient,
  request: S3Request,
  { origin, path, headers }: SignedRequest,
  attempt: Attempt,
  onHead: (headers: AnswerHeaders) => void,
): Promise<S3Answer> {
  const { method } = factsOf(request.operation)
  const outgoing = { method, path, headers, ...bodyOf(request) }
  const incoming = await http.send(origin, outgoing, patient(attempt, request))
  onHead(incoming.headers as AnswerHeaders)
  return readAnswer(request.operation, incoming, attempt.received)
}

/** An attempt in which the service may be silent until it is done, also when its answer has begun. */
function patient(attempt: Attempt, { body, silenceMs = 0 }: S3Request): Attempt {
  const bytes = Math.min(body?.byteLength ?? 0, MOST_KEPT_BYTES)
  const longest = silenceMs + bytes / SLOWEST_BYTES_PER_MS
  if (longest === 0) return attempt
  attempt.expectSilence(longest)
  return { ...attempt, progress: () => attempt.expectSilence(longest) }
}

/** In halves where the second one is held back. */
function bodyOf({ body, hold }: S3Request): Pick<HttpRequest, 'body' | 'hold'> {
  if (body === undefined) return {}
  if (hold === undefined) return { body: [body] }
  const half = body.byteLength >> 1
  return { body: [body.subarray(0, half), body.subarray(half)], hold }
}

/** The hash of a body for the signature, and the headers that guard it; each hash is made once. */
function guardsOf({ body, sha256, checksum }: S3Request): {
  readonly payload?: string
  readonly headers: Readonly<Record<string, string>>
} {
  if (body === undefined) return { headers: {} }
  const { hash } = process.getBuiltinModule('node:crypto')
  const payload = sha256 ?? hash('sha256', body, 'hex')
  if (checksum === undefined) return { payload, headers: {} }
  const headers =
    checksum === 'md5'
      ? { 'content-md5': hash('md5', body, 'base64') }
      : { 'x-amz-checksum-sha256': Buffer.from(payload, 'hex').toString('base64') }
  return { payload, headers }
}

function queryUntil(notAfter: Date, request: UnsignedRequest, scope: SigningScope): string {
  const end = Math.floor(notAfter.getTime() / 1000)
  const now = Math.floor(scope.date.getTime() / 1000)
  // Only the end counts, and it is the store's time: a wrong clock of ours moves the start alone.
  const start = Math.min(now, end - 1)
  const seconds = Math.min(end - start, LONGEST_SIGNATURE_S)
  return signedQuery(request, { ...scope, date: new Date(start * 1000) }, seconds)
}
