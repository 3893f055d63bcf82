import { Readable } from 'node:stream'
import type { BlobDownloadResponseParsed, BlockBlobClient } from '@azure/storage-blob'
import { type ByteRange, type ObjectBody, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import { BlobBody } from './blob-body.ts'
import { isWhole, quoted, toObjectInfo } from './object-info.ts'
import { type CallSettings, RequestError, type Requests, toThrown } from './requests.ts'

/** What is read, and how. */
export interface OpenBlobOptions extends CallSettings {
  readonly key: string
  readonly range?: ByteRange | undefined
}

/** What the service gives of a blob. */
interface Piece {
  readonly info: ObjectInfo
  readonly stream: Readable
}

/** Opens a blob, or a range of it, as the version that it is now. Throws `NOT_FOUND`. */
export async function openBlob(
  requests: Requests,
  client: BlockBlobClient,
  options: OpenBlobOptions,
): Promise<ObjectBody> {
  const { range, signal, what } = options
  assertRange(range)
  const { start = 0, end: wanted } = range ?? {}
  if (wanted === start) return openEmpty(requests, client, options)
  const piece = await download(requests, client, { ...options, start, end: wanted }).catch(
    (error: unknown) => {
      if (error instanceof RequestError && error.failure.status === 416) return undefined
      throw toThrown(error)
    },
  )
  // The service has no range of an empty blob, or past the end of another one.
  if (piece === undefined) return openEmpty(requests, client, options)
  const { info, stream } = piece
  const end = Math.min(wanted ?? info.size, info.size)
  const body = new BlobBody(stream, {
    start,
    end,
    what,
    signal,
    requests,
    openRest: async (from, restSignal) => {
      const rest = { ...options, signal: restSignal, start: from, end, etag: info.etag }
      return (await download(requests, client, rest)).stream
    },
  })
  return { info, body }
}

interface DownloadOptions extends OpenBlobOptions {
  readonly start: number
  /** Exclusive. */
  readonly end?: number | undefined
  /** Only this version; else `CONFLICT`. */
  readonly etag?: string | undefined
}

async function download(
  requests: Requests,
  client: BlockBlobClient,
  { start, end, etag, ...options }: DownloadOptions,
): Promise<Piece> {
  const count = end === undefined ? undefined : end - start
  const response = await requests.trySend(options, ({ signal }) =>
    client.download(start, count, {
      abortSignal: signal,
      // `BlobBody` goes on itself: it also notices a connection that is only silent.
      maxRetryRequests: 0,
      ...(etag !== undefined && { conditions: { ifMatch: quoted(etag) } }),
    }),
  )
  const stream = response.readableStreamBody
  if (!(stream instanceof Readable)) {
    throw new S3loError('UNAVAILABLE', `${options.what}: the answer has no body`)
  }
  try {
    return { info: infoOf(response, start, count, options), stream }
  } catch (error) {
    stream.destroy()
    throw error
  }
}

function infoOf(
  response: BlobDownloadResponseParsed,
  start: number,
  count: number | undefined,
  { key, what }: OpenBlobOptions,
): ObjectInfo {
  if (!isWhole(response)) throw new S3loError('NOT_FOUND', `${what} does not exist`)
  if (start === 0 && count === undefined) return toObjectInfo(key, response)
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.contentRange ?? '') ?? []
  if (Number(first) === start && size !== undefined) {
    const { etag, lastModified, accessTier } = response
    return toObjectInfo(key, { contentLength: Number(size), etag, lastModified, accessTier })
  }
  throw new S3loError(
    'UNSUPPORTED',
    `${what}: the service does not give the range it was asked for`,
  )
}

/** An empty body of a blob that is there. */
async function openEmpty(
  requests: Requests,
  client: BlockBlobClient,
  { key, what, signal }: OpenBlobOptions,
): Promise<ObjectBody> {
  const facts = await requests.send({ what, signal }, (attempt) =>
    client.getProperties({ abortSignal: attempt.signal }),
  )
  if (!isWhole(facts)) throw new S3loError('NOT_FOUND', `${what} does not exist`)
  return { info: toObjectInfo(key, facts), body: Readable.from([], { objectMode: false }) }
}

function assertRange(range: ByteRange | undefined): void {
  const { start = 0, end = start } = range ?? {}
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start) return
  throw new S3loError('USAGE', `${start}-${end} is not a range of bytes`)
}
