import type { IncomingMessage } from 'node:http'
import type { Attempt, HttpClient } from '@s3lo/core/transfer'
import type { BucketAddress } from './address.ts'
import { type AnswerToCheck, checkAnswer } from './answer-check.ts'
import { RefusalError } from './errors.ts'
import { pathOf, queryString, type SigningScope, signatureHeaders } from './signature.ts'
import { parseXml, textOf, type XmlElement } from './xml.ts'

/** A request that changes nothing, of S3's REST API. */
export interface ReadRequest {
  /** As the SDK calls it, which says what its answer has to be. */
  readonly command: ReadCommand
  /** Without one it is about the bucket. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  /** Conditions and ranges; they are not signed. */
  readonly headers?: Readonly<Record<string, string>>
}

type ReadCommand =
  | 'GetBucketLocationCommand'
  | 'GetObjectCommand'
  | 'HeadBucketCommand'
  | 'HeadObjectCommand'
  | 'ListObjectsV2Command'

/** What the service has answered: not a refusal, and checked for what it cannot be without. */
export interface ReadAnswer {
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Of a document. */
  readonly document?: XmlElement
  /** Of an object: on its way. */
  readonly stream?: IncomingMessage
}

/** An address for one request, with all that authorises it. */
export interface SignedRequest {
  readonly origin: URL
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** Signs a request for the address of a bucket. */
export function signRead(
  { key = '', query = {}, command }: ReadRequest,
  { origin, path }: BucketAddress,
  scope: SigningScope,
): SignedRequest {
  const whole = `${path}${pathOf(key)}`
  const signed = { method: methodOf(command), host: origin.host, path: whole, query }
  const parameters = queryString(query)
  return {
    origin,
    path: parameters === '' ? whole : `${whole}?${parameters}`,
    headers: signatureHeaders(signed, scope),
  }
}

/**
 * Sends one request, once. Throws {@link RefusalError}, `ForeignAnswerError`, and what the connection
 * fails with. `onHead` gets the headers of every answer.
 */
export async function sendRead(
  http: HttpClient,
  request: ReadRequest,
  { origin, path, headers }: SignedRequest,
  attempt: Attempt,
  onHead: (headers: ReadAnswer['headers']) => void,
): Promise<ReadAnswer> {
  const outgoing = {
    method: methodOf(request.command),
    path,
    headers: { ...headers, ...request.headers },
  }
  const incoming = await http.send(origin, outgoing, attempt)
  const answer: AnswerToCheck = {
    statusCode: incoming.statusCode ?? 0,
    headers: incoming.headers as Readonly<Record<string, string>>,
    body: incoming,
  }
  onHead(answer.headers)
  await checkAnswer(request.command, answer, attempt.received)
  if (answer.statusCode >= 300) throw refusalOf(answer)
  if (request.command === 'GetObjectCommand') return { headers: answer.headers, stream: incoming }
  if (answer.body instanceof Uint8Array) {
    return { headers: answer.headers, document: parseXml(Buffer.from(answer.body).toString()) }
  }
  // Without a reader, the connection would not be free for the next request.
  incoming.resume()
  return { headers: answer.headers }
}

function methodOf(command: ReadCommand): 'GET' | 'HEAD' {
  return command.startsWith('Head') ? 'HEAD' : 'GET'
}

function refusalOf({ statusCode, headers, body }: AnswerToCheck): RefusalError {
  const error = body instanceof Uint8Array ? errorIn(Buffer.from(body).toString()) : undefined
  const text = (name: string): string | undefined => error && (textOf(error, name) || undefined)
  return new RefusalError(statusCode, headers, { code: text('Code'), region: text('Region') })
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
