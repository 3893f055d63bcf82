import dns from 'node:dns'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { isS3loError, type S3loError } from '@s3lo/core'
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from '@s3lo/core/transfer'
import { afterAll, vi } from 'vitest'
import { type S3Backend, s3Backend, type S3BackendOptions } from '../src/index.ts'

/** One request that the service got, whole. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** One request before its body has come. */
export type BegunRequest = Omit<SeenRequest, 'body'>

/** How one request is answered. */
export type Answer = (response: ServerResponse, request: SeenRequest) => void

/** What stands in a file of a certificate and its key. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export const ACCESS_KEY = 'AKIDEXAMPLE'
export const SECRET_KEY = 'SECRETACCESSKEY'
export const SESSION_TOKEN = 'SECRETSESSIONTOKEN'

const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: ACCESS_KEY,
  AWS_SECRET_ACCESS_KEY: SECRET_KEY,
  AWS_SESSION_TOKEN: SESSION_TOKEN,
}

/** Where nothing is remembered: the user's own cache is not for tests. */
const NOWHERE = join(tmpdir(), 's3lo-no-cache')

/** A service for the tests of one file, which is closed after them. */
export async function useFakeS3(certificate?: Certificate): Promise<FakeS3> {
  const service = await FakeS3.start(certificate)
  afterAll(() => service.close())
  return service
}

/** A loopback server that answers the n-th request with the n-th answer of a script. */
export class FakeS3 {
  readonly requests: SeenRequest[] = []
  /** What the backend waited between attempts, in milliseconds. */
  readonly delays: number[] = []
  /** Called for every request as soon as its headers are there. */
  onBegin: (request: BegunRequest) => void = () => {}
  readonly port: number
  readonly #server: Server
  #script: Answer[] = []
  #otherwise: Answer = refuse(418, 'NotInTheScript')

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  static async start(certificate?: Certificate): Promise<FakeS3> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void service.#answer(request, response)
    }
    const server = certificate ? createTlsServer(certificate, listener) : createServer(listener)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const service = new FakeS3(server)
    return service
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  script(...answers: readonly Answer[]): void {
    this.#script = [...answers]
    this.#otherwise = refuse(418, 'NotInTheScript')
    this.requests.length = 0
    this.delays.length = 0
  }

  /** Answers every request alike, for tests in which several are under way at once. */
  always(answer: Answer): void {
    this.script()
    this.#otherwise = answer
  }

  /** A backend of this service that waits for nothing. */
  backend(options: Partial<S3BackendOptions> = {}): S3Backend {
    return s3Backend('bucket', {
      endpoint: this.url,
      ...options,
      env: { ...CREDENTIALS, XDG_CACHE_HOME: NOWHERE, ...options.env },
      retry: this.#policy(options.retry),
    })
  }

  /** A backend that takes this service for AWS: the test has called {@link resolveToLoopback}. */
  aws(options: Partial<S3BackendOptions> = {}): S3Backend {
    return this.backend({
      endpoint: `http://s3.amazonaws.com:${this.port}`,
      region: 'us-east-1',
      ...options,
    })
  }

  /** `METHOD path?query` of every request. */
  get seen(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url}`)
  }

  /** The regions that the requests were signed for. */
  get regions(): (string | undefined)[] {
    return this.requests.map(
      ({ headers }) => /Credential=[^/]+\/\d+\/([^/]+)/.exec(headers.authorization ?? '')?.[1],
    )
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #policy(retry: Partial<RetryPolicy> | undefined): Partial<RetryPolicy> {
    const delay = async (ms: number): Promise<void> => void this.delays.push(ms)
    return { attempts: 4, random: () => 1, delay, ...retry }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    this.onBegin({ method, url, headers })
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    } catch {
      // The client has given up.
      return
    }
    const seen = { method, url, headers, body: Buffer.concat(chunks) }
    this.requests.push(seen)
    const answer = this.#script.shift() ?? this.#otherwise
    answer(response, seen)
  }
}

/** Lets the names of AWS lead to this machine, and every other name nowhere. */
export function resolveToLoopback(): void {
  const lookup = (name: string, options: unknown, done: unknown): void => {
    const answer = (typeof options === 'function' ? options : done) as (
      error: Error | null,
      address?: unknown,
      family?: number,
    ) => void
    const isAws = /\.amazonaws\.com(\.cn)?$/.test(name)
    const isList = typeof options === 'object' && options !== null && 'all' in options
    const version = isIP(name)
    if (version !== 0) {
      if (isList) answer(null, [{ address: name, family: version }])
      else answer(null, name, version)
    } else if (!isAws) answer(Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }))
    else if (isList) answer(null, [{ address: '127.0.0.1', family: 4 }])
    else answer(null, '127.0.0.1', 4)
  }
  vi.spyOn(dns, 'lookup').mockImplementation(lookup as typeof dns.lookup)
}

/** An error of the service; `headers` go along, `xml` stands in its body. */
export function refuse(
  status: number,
  code: string,
  { headers = {}, xml = '' }: { headers?: Record<string, string>; xml?: string } = {},
): Answer {
  return (response, { method }) => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers })
    const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message>${xml}</Error>`
    response.end(method === 'HEAD' ? undefined : body)
  }
}

/** The connection ends without an answer. */
export const reset: Answer = (response) => void response.destroy()

/** How long the client waits for a service that is silent (milliseconds). */
export const STALL_MS = DEFAULT_RETRY_POLICY.stallMs

/** Holds the time of the client: it passes when a test lets it, and what goes over the network does not wait for it. */
export function holdTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
}

/** No answer for `ms` of a time that is held, and then `then`; the connection stays. */
export const silent =
  (ms: number, then?: Answer): Answer =>
  (response, request) =>
    void vi.advanceTimersByTimeAsync(ms).then(() => then?.(response, request))

/** No answer for longer than the client waits. */
export const silence = silent(STALL_MS + 1)

const FACTS = { etag: '"e1"', 'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT' }

/** An answer with these headers and this body, and nothing else. */
export function answer(status: number, headers: Record<string, string> = {}, body = ''): Answer {
  return (response) => void response.writeHead(status, headers).end(body)
}

export function written(headers: Record<string, string> = {}): Answer {
  return answer(200, { ...FACTS, ...headers })
}

export function facts(headers: Record<string, string> = {}): Answer {
  return answer(200, { ...FACTS, 'content-length': '1', ...headers })
}

/** An answer in XML. */
export function xml(body: string, status = 200): Answer {
  const text = `<?xml version="1.0" encoding="UTF-8"?>${body}`
  return answer(status, { 'content-type': 'application/xml' }, text)
}

/** A multipart upload has begun. */
export const begun = xml(
  '<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>',
)

/** A multipart upload has become an object. */
export const completed = xml(
  '<CompleteMultipartUploadResult><ETag>&quot;e2-2&quot;</ETag></CompleteMultipartUploadResult>',
)

/** A body that is cut after `sent` bytes of what the headers promise. */
export function content(text: string, { sent = text.length, start = 0, size = 0 } = {}): Answer {
  return (response) => {
    const range = `bytes ${start}-${start + text.length - 1}/${size}`
    response.writeHead(size === 0 ? 200 : 206, {
      ...FACTS,
      'content-length': text.length,
      ...(size > 0 && { 'content-range': range }),
    })
    response.write(text.slice(0, sent), () => {
      if (sent < text.length) response.destroy()
      else response.end()
    })
  }
}

/** A page of a listing, whose names are encoded as a URL. */
export function page(
  names: readonly string[],
  next?: string,
  { isTruncated = !!next } = {},
): Answer {
  const items = names.map(
    (name) =>
      `<Contents><Key>${encodeURIComponent(name)}</Key><Size>1</Size><ETag>"e"</ETag>` +
      `<LastModified>2026-11-21T06:00:00.000Z</LastModified></Contents>`,
  )
  const token = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  return xml(
    `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${isTruncated}</IsTruncated>` +
      `${token}${items.join('')}</ListBucketResult>`,
  )
}

/** The s3lo error that a promise is rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<S3loError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (isS3loError(error)) return error
  throw new Error(`expected an s3lo error, got ${inspect(error)}`)
}

export async function textOf(object: ReturnType<S3Backend['get']>): Promise<string> {
  return contentOf((await object).body)
}

export async function contentOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

export async function keysOf(infos: AsyncIterable<{ readonly key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of infos) keys.push(key)
  return keys
}
