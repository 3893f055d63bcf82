import type { IncomingMessage } from 'node:http'
import {
  asArray,
  asObject,
  type JsonObject,
  optional,
  parseJson,
  S3loError,
} from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  HttpClient,
  type HttpRequest,
  readAnswer,
  type Requests,
} from '@s3lo/core/transfer'
import type { Access } from './access.ts'
import type { Endpoint } from './endpoint.ts'
import { AnswerError } from './errors.ts'
import { encodeStrictly, signRequest } from './signed-request.ts'
import type { Signer } from './signer.ts'

/** More than a page of 1000 objects with the longest names takes (bytes). */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const MAX_REFUSAL_BYTES = 64 * 1024

type Query = Readonly<Record<string, string | undefined>>

/** A request to the JSON API. */
export interface JsonRequest extends Omit<HttpRequest, 'path'> {
  /** Below `/storage/v1/b/BUCKET`, encoded: `/o/KEY`. */
  readonly path: string
  readonly query?: Query | undefined
  /** `/upload` for content. */
  readonly prefix?: string | undefined
}

/** One signed request, whose authority ends at `notAfter`. */
export interface TimedRequest {
  readonly method: 'PUT' | 'DELETE'
  readonly key: string
  readonly notAfter: Date
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: readonly Uint8Array[] | undefined
}

/** What talks to the service about one bucket. */
export class GcsClient {
  readonly bucket: string
  readonly endpoint: Endpoint
  readonly access: Access
  readonly requests: Requests
  readonly #http: HttpClient
  readonly #origin: URL

  constructor(
    bucket: string,
    endpoint: Endpoint,
    access: Access,
    requests: Requests,
    env: Readonly<Record<string, string | undefined>>,
  ) {
    this.bucket = bucket
    this.endpoint = endpoint
    this.access = access
    this.requests = requests
    this.#origin = new URL(endpoint.origin)
    this.#http = new HttpClient(env)
  }

  /** The answer of the JSON API. Throws {@link AnswerError} unless it says yes. */
  async json(request: JsonRequest, attempt: Attempt): Promise<JsonObject> {
    const response = await this.open(request, attempt)
    return parseAnswer(await readAnswer(response, MAX_ANSWER_BYTES, attempt.progress))
  }

  /** As {@link json}, for an answer whose body is wanted as it comes, or not at all. */
  async open(
    { path, query = {}, prefix = '', headers, ...request }: JsonRequest,
    attempt: Attempt,
  ): Promise<IncomingMessage> {
    const { userProject } = this.access
    const authority = await this.access.headers(attempt.signal)
    return this.raw(
      {
        ...request,
        path: `${prefix}/storage/v1/b/${encodeStrictly(this.bucket)}${path}${queryString({ userProject, ...query })}`,
        headers: { ...authority, ...headers },
      },
      attempt,
    )
  }

  /** Sends a request as it is: nothing is added that authorises it. */
  async raw(request: HttpRequest, attempt: Attempt): Promise<IncomingMessage> {
    const response = await this.#http.send(this.#origin, request, attempt)
    const { statusCode = 0, headers } = response
    if ((statusCode >= 200 && statusCode < 300) || statusCode === 308) return response
    const content = await readAnswer(response, MAX_REFUSAL_BYTES, attempt.progress)
    if (statusCode === 302 || statusCode === 303) {
      throw new ForeignAnswerError(`HTTP ${statusCode}, which leads elsewhere`)
    }
    throw new AnswerError(statusCode, reasonIn(content), headers)
  }

  /** Sends a request that the service refuses from `notAfter` on. Throws `UNSUPPORTED` without a signer. */
  async timed(
    { key, notAfter, ...request }: TimedRequest,
    attempt: Attempt,
  ): Promise<IncomingMessage> {
    const options = { headers: request.headers, signal: attempt.signal }
    const path = await this.signedPath(key, request.method, notAfter, options)
    const response = await this.raw({ ...request, path }, attempt)
    response.resume()
    return response
  }

  /** The path of a signed URL. Throws `UNSUPPORTED` without a signer. */
  async signedPath(
    key: string,
    method: 'GET' | 'PUT' | 'DELETE',
    expiresAt: Date,
    options: {
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly signal?: AbortSignal | undefined
    } = {},
  ): Promise<string> {
    const { headers, signal } = options
    const { origin } = this.endpoint
    const { userProject } = this.access
    const signer = this.#signer()
    const { bucket } = this
    const what = { origin, bucket, key, method, expiresAt, headers, userProject, signer, signal }
    return signRequest(what)
  }

  close(): void {
    this.#http.close()
  }

  #signer(): Signer {
    const { signer } = this.access
    if (signer) return signer
    throw new S3loError('UNSUPPORTED', `signing a request for gs://${this.bucket} needs a key`, {
      hint: 'use the key of a service account, or set S3LO_GCS_SIGNER',
    })
  }
}

/** The path of an object in the JSON API. Throws `INVALID_REFERENCE` for a key that is no name. */
export function objectPath(key: string): string {
  assertKey(key)
  return `/o/${encodeStrictly(key)}`
}

/** Throws `INVALID_REFERENCE` for a key that cannot be the name of an object. */
export function assertKey(key: string): void {
  const segments = key.split('/')
  // A signed URL resolves `.` and `..`, so such a key would lead to another object.
  const isPath = segments.includes('.') || segments.includes('..')
  const isLong = Buffer.byteLength(key) > 1024
  if (key !== '' && key.isWellFormed() && !isPath && !isLong && !/[\r\n]/.test(key)) return
  throw new S3loError('INVALID_REFERENCE', `${JSON.stringify(key)} cannot be the name of an object`)
}

/** The members of a JSON answer. Throws {@link ForeignAnswerError}. */
export function parseAnswer(content: Uint8Array): JsonObject {
  try {
    return asObject(parseJson(content, 'the answer'), 'the answer')
  } catch (cause) {
    throw new ForeignAnswerError('the answer is no JSON object', { cause })
  }
}

function queryString(query: Query): string {
  const text = Object.entries(query)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeStrictly(value)}`]))
    .join('&')
  return text && `?${text}`
}

/** The JSON API says its reason in a list, the XML API in a tag. */
function reasonIn(content: Buffer): string | undefined {
  const [, code] = /<Code>(\w{1,80})<\/Code>/.exec(content.toString('latin1')) ?? []
  if (code !== undefined) return code
  try {
    const answer = asObject(parseJson(content, ''), '')
    const error = optional(answer, 'error', '', asObject) ?? {}
    const [first] = optional(error, 'errors', '', asArray) ?? []
    const { reason } = asObject(first, '')
    return typeof reason === 'string' && /^\w{1,80}$/.test(reason) ? reason : undefined
  } catch {
    // A proxy's page, or an empty answer: the status says enough.
    return undefined
  }
}
