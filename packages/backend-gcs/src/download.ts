import type { ByteRange, ObjectBody, ObjectInfo } from '@s3lo/core/plugin'
import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type CallSettings,
  failureOf,
  type ByteBudget,
  type ObjectPiece,
  openObject,
  type PieceRequest,
  RequestError,
  ForeignAnswerError,
} from '@s3lo/core/transfer'
import type { IncomingHttpHeaders } from 'node:http'
import { AnswerError } from './errors.ts'
import { type GcsClient, isMissing, objectPath } from './gcs-client.ts'
import { infoOfHeaders } from './object-info.ts'

/** What is read, and how. */
export interface DownloadOptions extends CallSettings {
  readonly key: string
  readonly range?: ByteRange | undefined
  /** Bytes of the requests that a large object comes by, and the memory that all of them share. */
  readonly parallel: { readonly partBytes: number; readonly budget: ByteBudget }
  /** The object's facts. Throws `NOT_FOUND`. */
  readonly head: () => Promise<ObjectInfo>
}

/** Opens an object, or a range of it, as the generation that it is now. Throws `NOT_FOUND`. */
export async function download(client: GcsClient, options: DownloadOptions): Promise<ObjectBody> {
  const { key, what, range, signal, parallel, head } = options
  const path = objectPath(key)
  return openObject({
    what,
    range,
    signal,
    parallel,
    head,
    requests: client.requests,
    open: (request) => openPiece(client, path, options, request),
  })
}

async function openPiece(
  client: GcsClient,
  path: string,
  { key, what }: DownloadOptions,
  { start, end, etag, signal }: PieceRequest,
): Promise<ObjectPiece> {
  const isWhole = start === 0 && end === undefined
  const headers = {
    // What is stored compressed would be unpacked on the way, and be of another length.
    'accept-encoding': 'gzip',
    ...(!isWhole && { range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
  }
  const query = { alt: 'media', generation: etag }
  try {
    return await client.requests.trySend({ what, signal }, async (attempt) => {
      const request = { method: 'GET', path, query, headers } as const
      const stream = await client
        .open(request, attempt)
        .catch((error: unknown) => explain(error, { client, path, etag, attempt }))
      try {
        const { statusCode, headers: given } = stream
        return { ...pieceOf(key, what, start, statusCode === 206, given), stream }
      } catch (error) {
        stream.destroy()
        throw error
      }
    })
  } catch (error) {
    if (!isMissing(error)) throw error
    // A generation that is gone was replaced or deleted while it was read.
    if (etag !== undefined) {
      const text = 'was changed by another client while it was read'
      throw new RequestError(failureOf({ code: 'CONFLICT', text }, what))
    }
    await client.assertBucket({ what, signal })
    throw error
  }
}

/**
 * The service says in plain words that content is missing, as any proxy could; so it is asked for
 * the object's facts, whose absence it states in its own form.
 */
async function explain(error: unknown, { client, path, etag, attempt }: Explained): Promise<never> {
  if (!(error instanceof AnswerError) || error.status !== 404 || error.reason) throw error
  const query = { generation: etag, fields: 'generation' }
  await client.json({ method: 'GET', path, query }, attempt)
  throw new ForeignAnswerError('HTTP 404 for the content of an object that is there')
}

interface Explained {
  readonly client: GcsClient
  readonly path: string
  readonly etag: string | undefined
  readonly attempt: Attempt
}

/** Of an answer that may be the whole object although a part was asked for. */
function pieceOf(
  key: string,
  what: string,
  start: number,
  isPart: boolean,
  headers: IncomingHttpHeaders,
): Pick<ObjectPiece, 'info' | 'end'> {
  if (headers['x-goog-generation'] === undefined) {
    throw new ForeignAnswerError('the content of an object without its generation')
  }
  if (!isPart) {
    if (start > 0) {
      const message = `${what}: the service does not give the range it was asked for`
      throw new S3loError('UNSUPPORTED', message)
    }
    const length = headers['content-length'] ?? storedLength(headers)
    const info = infoOfHeaders(key, headers, length)
    return { info, end: info.size }
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '')
  const [, first, last, size] = range ?? []
  if (Number(first) !== start) throw new ForeignAnswerError('another range than was asked for')
  return { info: infoOfHeaders(key, headers, size), end: Number(last) + 1 }
}

function storedLength(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['x-goog-stored-content-length']
  return typeof value === 'string' ? value : undefined
}
