import type { IncomingMessage } from 'node:http'
import {
  assertXmlRoot,
  ForeignAnswerError,
  hasXmlRoot,
  isWebPage,
  MAX_ANSWER_BYTES,
} from '@s3lo/core/transfer'
import { RefusalError } from './errors.ts'
import { factsOf, type Operation } from './operations.ts'
import { parseXml, textOf, type XmlElement } from './xml.ts'

/** What the service has answered: not a refusal, and checked for what it cannot be without. */
export interface S3Answer {
  readonly status: number
  readonly headers: AnswerHeaders
  /** Of an operation that has one. */
  readonly document?: XmlElement
  /** Of an object: on its way. */
  readonly stream?: IncomingMessage
}

export type AnswerHeaders = Readonly<Record<string, string | undefined>>

/** An error is short; what is longer is none of the service's. */
const MAX_ERROR_BYTES = 1024 * 1024
/** What an error is that comes with a status of success: one that may be tried again. */
const STATUS_OF_LATE_ERROR = 503
const STATUS_OF_UNKNOWN_REQUEST = 501
const NO_CONTENT = 204

/**
 * Reads the answer to an operation, but for an object's content. Throws {@link RefusalError}, and
 * `ForeignAnswerError` for an answer that only its status says to be one: with any other document, or
 * none, an empty listing and a deletion without failures could not be told from it. `received` is
 * called with the bytes that come.
 */
export async function readAnswer(
  operation: Operation,
  incoming: IncomingMessage,
  received: (bytes: number) => void,
): Promise<S3Answer> {
  const { isContent = false, roots } = factsOf(operation)
  assertNoPage(operation, incoming)
  const answer = { status: statusOf(incoming), headers: headersOf(incoming) }
  if (answer.status >= 300) return refuse(operation, incoming, received)
  if (isContent) {
    assertHeaders(operation, incoming)
    if (operation === 'GetObject') return { ...answer, stream: incoming }
    // Without a reader, the connection would not be free for the next request.
    incoming.resume()
    return answer
  }
  const text = await readText(incoming, roots ? MAX_ANSWER_BYTES : MAX_ERROR_BYTES, received)
  const isWrongListing = roots && operation !== 'ListObjectsV2' && isListing(text)
  if (isError(text)) throw refusalOf(STATUS_OF_LATE_ERROR, answer.headers, text)
  if (isWrongListing) throw refusalOf(STATUS_OF_UNKNOWN_REQUEST, answer.headers, '')
  if (roots) assertXmlRoot(text, roots)
  assertHeaders(operation, incoming)
  return { ...answer, ...(roots && { document: parseXml(text) }) }
}

function assertNoPage(operation: Operation, incoming: IncomingMessage): void {
  const status = statusOf(incoming)
  const isHead = factsOf(operation).method === 'HEAD'
  // Google calls the answers without content to its writes a page.
  const isPage = isWebPage(incoming.headers['content-type']) && status !== NO_CONTENT
  if (isPage && !hasOwnHeader(incoming)) {
    // A refusal by a page is one all the same, but for what it says about what is there.
    if (status < 300 || (status === 404 && isHead)) throw foreign(incoming, 'a web page')
  }
  if (status === 302 || status === 303) throw foreign(incoming, 'a redirection')
}

async function refuse(
  operation: Operation,
  incoming: IncomingMessage,
  received: (bytes: number) => void,
): Promise<never> {
  const text = await readText(incoming, MAX_ERROR_BYTES, received)
  const status = statusOf(incoming)
  const isHead = factsOf(operation).method === 'HEAD'
  // What is not there is known only from an error of the service itself.
  if (status === 404 && !isHead && !isError(text)) {
    throw foreign(incoming, 'no error of the service')
  }
  throw refusalOf(status, headersOf(incoming), text)
}

function refusalOf(status: number, headers: AnswerHeaders, text: string): RefusalError {
  const error = errorIn(text)
  const named = (name: string): string | undefined => error && (textOf(error, name) || undefined)
  return new RefusalError(status, headers, { code: named('Code'), region: named('Region') })
}

/** A refusal without a document is told by its status. */
function errorIn(text: string): XmlElement | undefined {
  try {
    const root = parseXml(text)
    return root.name === 'Error' ? root : root.children.find(({ name }) => name === 'Error')
  } catch {
    return undefined
  }
}

function assertHeaders(operation: Operation, incoming: IncomingMessage): void {
  const missing = factsOf(operation).headers?.find((name) => !incoming.headers[name])
  if (missing !== undefined) throw foreign(incoming, `no ${missing}`)
}

function isError(text: string): boolean {
  return hasXmlRoot(text, ['Error', 'ErrorResponse'])
}

/** Services that do not know a setting of a bucket list its objects instead. */
function isListing(text: string): boolean {
  return hasXmlRoot(text, ['ListBucketResult'])
}

async function readText(
  incoming: IncomingMessage,
  limit: number,
  received: (bytes: number) => void,
): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.byteLength
    received(chunk.byteLength)
    if (length > limit) throw foreign(incoming, `more than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length).toString()
}

/** Every service has headers of S3's, or of Google's, in its answers; a proxy's page has none. */
function hasOwnHeader({ headers }: IncomingMessage): boolean {
  return Object.keys(headers).some((name) => /^x-(amz|goog|guploader)-/i.test(name))
}

function statusOf({ statusCode = 0 }: IncomingMessage): number {
  return statusCode
}

/** No header that is looked at can come in several values. */
function headersOf({ headers }: IncomingMessage): AnswerHeaders {
  return headers as AnswerHeaders
}

function foreign(incoming: IncomingMessage, got: string): ForeignAnswerError {
  // A body that is not read would keep its connection, which the next attempt may wait for.
  incoming.destroy()
  return new ForeignAnswerError(`HTTP ${statusOf(incoming)} with ${got}`)
}
