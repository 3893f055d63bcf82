import { assertXmlRoot, ForeignAnswerError, isWebPage, MAX_ANSWER_BYTES } from '@s3lo/core/transfer'

/** The root element of each answer that is a document. */
const ROOTS: Readonly<Record<string, readonly string[]>> = {
  ListObjectsV2Command: ['ListBucketResult'],
  ListMultipartUploadsCommand: ['ListMultipartUploadsResult'],
  CreateMultipartUploadCommand: ['InitiateMultipartUploadResult'],
  CompleteMultipartUploadCommand: ['CompleteMultipartUploadResult'],
  CopyObjectCommand: ['CopyObjectResult'],
  // Some gateways call the copy of a part one of an object.
  UploadPartCopyCommand: ['CopyPartResult', 'CopyObjectResult'],
  DeleteObjectsCommand: ['DeleteResult'],
  GetBucketLocationCommand: ['LocationConstraint'],
  GetBucketVersioningCommand: ['VersioningConfiguration'],
  GetBucketLifecycleConfigurationCommand: ['LifecycleConfiguration'],
  GetObjectLockConfigurationCommand: ['ObjectLockConfiguration'],
  // AWS documents the second and sends the first.
  ListBucketIntelligentTieringConfigurationsCommand: [
    'ListBucketIntelligentTieringConfigurationsResult',
    'ListBucketIntelligentTieringConfigurationsOutput',
  ],
}

/**
 * The headers that the answer about an object, or a part of one, cannot be without. Its date is not
 * among them: some proxies take it, and the listing has it.
 */
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  GetObjectCommand: ['etag'],
  HeadObjectCommand: ['etag', 'content-length'],
  UploadPartCommand: ['etag'],
}

/** Answers whose body is the object's, or that have none. */
const WITHOUT_DOCUMENT: ReadonlySet<string> = new Set([
  'GetObjectCommand',
  'HeadObjectCommand',
  'HeadBucketCommand',
])

/** An error is short; what is longer is none of the service's. */
const MAX_ERROR_BYTES = 1024 * 1024
/** What the SDK makes of an error that comes with a status of success: one that may be tried again. */
const STATUS_OF_LATE_ERROR = 503

const STATUS_OF_UNKNOWN_REQUEST = 501
const NO_CONTENT = 204
const BYTE_ORDER_MARK = Buffer.from('\uFEFF')

/** An answer before its body is read; the check changes it. */
export interface AnswerToCheck {
  statusCode: number
  readonly headers: Readonly<Record<string, string>>
  /** A stream, and once it was read its bytes. */
  body: unknown
}

/**
 * Throws `ForeignAnswerError` for an answer to `command`, as the SDK calls it, that only its status
 * says to be one. The SDK reads a document with any root element, and none at all, as an answer
 * without content: an empty listing, a deletion without failures. A document is read: its bytes
 * are left as the body. `received` is called with the bytes that come.
 */
export async function checkAnswer(
  command: string,
  response: AnswerToCheck,
  received: (bytes: number) => void = () => {},
): Promise<void> {
  const { statusCode, headers } = response
  const isRefusal = statusCode >= 300
  const isHead = command.startsWith('Head')
  // Google calls the answers without content to its writes a page.
  const isPage = isWebPage(headers['content-type']) && statusCode !== NO_CONTENT
  if (isPage && !hasOwnHeader(headers)) {
    // A refusal by a page is one all the same, but for what it says about what is there.
    if (!isRefusal || (statusCode === 404 && isHead)) throw foreign(response, 'a web page')
  }
  if (statusCode === 302 || statusCode === 303) throw foreign(response, 'a redirection')
  if (isRefusal) {
    const text = await readBody(response, MAX_ERROR_BYTES, received)
    if (statusCode === 404 && !isHead) assertError(response, text)
    return
  }
  if (WITHOUT_DOCUMENT.has(command)) return assertHeaders(command, response)
  const roots = ROOTS[command]
  const text = await readBody(response, roots ? MAX_ANSWER_BYTES : MAX_ERROR_BYTES, received)
  if (isError(text)) {
    response.statusCode = STATUS_OF_LATE_ERROR
    return
  }
  if (roots && isListing(text) && !command.startsWith('ListObjects')) {
    response.statusCode = STATUS_OF_UNKNOWN_REQUEST
    response.body = Buffer.alloc(0)
    return
  }
  if (roots) assertXmlRoot(text, roots)
  assertHeaders(command, response)
}

function assertHeaders(command: string, response: AnswerToCheck): void {
  const missing = HEADERS[command]?.find((name) => !response.headers[name])
  if (missing === undefined) return
  throw foreign(response, `no ${missing}`)
}

/** What is not there is known only from an error of the service itself. */
function assertError(response: AnswerToCheck, text: string): void {
  if (!isError(text)) throw foreign(response, 'no error of the service')
}

function isError(text: string): boolean {
  return hasRoot(text, ['Error', 'ErrorResponse'])
}

/** Services that do not know a setting of a bucket list its objects instead. */
function isListing(text: string): boolean {
  return hasRoot(text, ['ListBucketResult'])
}

function hasRoot(text: string, roots: readonly string[]): boolean {
  try {
    assertXmlRoot(text, roots)
    return true
  } catch {
    return false
  }
}

/** Reads the body and leaves its bytes in its place. */
async function readBody(
  response: AnswerToCheck,
  limit: number,
  received: (bytes: number) => void,
): Promise<string> {
  const { body } = response
  const chunks: Uint8Array[] = []
  let length = 0
  if (body instanceof Uint8Array) chunks.push(body)
  else if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength
      received(chunk.byteLength)
      if (length > limit) throw foreign(response, `more than ${limit} bytes`)
      chunks.push(chunk)
    }
  }
  const bytes = withoutMark(Buffer.concat(chunks))
  response.body = bytes
  return bytes.toString()
}

/** The SDK's parser takes a byte order mark for text. */
function withoutMark(bytes: Buffer): Buffer {
  return BYTE_ORDER_MARK.equals(bytes.subarray(0, 3)) ? bytes.subarray(3) : bytes
}

/** Every service has headers of S3's, or of Google's, in its answers; a proxy's page has none. */
function hasOwnHeader(headers: AnswerToCheck['headers']): boolean {
  return Object.keys(headers).some((name) => /^x-(amz|goog|guploader)-/i.test(name))
}

function foreign(response: AnswerToCheck, got: string): ForeignAnswerError {
  // A body that is not read would keep its connection, which the next attempt may wait for.
  const { body, statusCode } = response
  if (typeof body === 'object' && body && 'destroy' in body && typeof body.destroy === 'function') {
    body.destroy()
  }
  return new ForeignAnswerError(`HTTP ${statusCode} with ${got}`)
}
