import {
  asObject,
  type CallOptions,
  type ErrorCode,
  type JsonObject,
  parseJson,
  S3loError,
} from '@s3lo/core/plugin'

/** A key service that is asked by HTTP. */
export interface ServiceRequest extends CallOptions {
  /** For messages: `vault`. */
  readonly service: string
  readonly method?: 'GET' | 'POST' | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

const MAX_ANSWER = 1024 * 1024
const TIMEOUT_MS = 30_000

/**
 * Asks a key service and gives its JSON answer. Redirects are not followed: the request carries a
 * secret. Throws `UNAUTHORIZED`, `FORBIDDEN`, `NOT_FOUND`, `USAGE`, `UNAVAILABLE`.
 */
export async function requestJson(url: URL, request: ServiceRequest): Promise<JsonObject> {
  const { service, method = 'GET', headers, body, signal } = request
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  let status: number
  let text: string
  try {
    const response = await fetch(url, {
      method,
      headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'manual',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    status = response.status
    text = await readText(response)
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw new S3loError(
      'UNAVAILABLE',
      `${service} at ${url.origin} did not answer: ${reasonOf(error)}`,
    )
  }
  if (status === 200)
    return asObject(parseJson(Buffer.from(text), `the answer of ${service}`), service)
  throw new S3loError(
    codeOf(status),
    `${service} at ${url.origin} answered ${status} to ${url.pathname}`,
  )
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER) throw new Error('its answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return 'UNAUTHORIZED'
  if (status === 403) return 'FORBIDDEN'
  if (status === 404) return 'NOT_FOUND'
  return status === 429 || status >= 500 ? 'UNAVAILABLE' : 'USAGE'
}

/** Not the error itself, which may hold the request with its secret. */
function reasonOf(error: unknown): string {
  const { cause } = error instanceof Error ? error : {}
  if (cause instanceof Error) return cause.message
  return error instanceof Error ? error.message : String(error)
}
