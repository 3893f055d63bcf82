import { Readable } from 'node:stream'
import type { BlobDownloadResponseParsed, BlockBlobClient } from '@azure/storage-blob'
import { type ByteRange, type ObjectBody, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import {
  type CallSettings,
  type ObjectPiece,
  openObject,
  type OpenObjectOptions,
  type PieceRequest,
  type Requests,
} from '@s3lo/core/transfer'
import { isWhole, quoted, toObjectInfo } from './object-info.ts'

/** What is read, and how. */
export interface OpenBlobOptions extends CallSettings {
  readonly key: string
  readonly range?: ByteRange | undefined
  readonly parallel: OpenObjectOptions['parallel']
}

/** Opens a blob, or a range of it, as the version that it is now. Throws `NOT_FOUND`. */
export async function openBlob(
  requests: Requests,
  client: BlockBlobClient,
  options: OpenBlobOptions,
): Promise<ObjectBody> {
  const { key, what, signal } = options
  return openObject({
    ...options,
    requests,
    open: (request) => download(requests, client, { ...request, key, what }),
    head: async () => {
      const facts = await requests.send({ what, signal }, (attempt) =>
        client.getProperties({ abortSignal: attempt.signal }),
      )
      if (!isWhole(facts)) throw new S3loError('NOT_FOUND', `${what} does not exist`)
      return toObjectInfo(key, facts)
    },
  })
}

interface DownloadOptions extends PieceRequest {
  readonly key: string
  readonly what: string
}

async function download(
  requests: Requests,
  client: BlockBlobClient,
  { start, end, etag, signal: outer, ...options }: DownloadOptions,
): Promise<ObjectPiece> {
  const count = end === undefined ? undefined : end - start
  const settings = { what: options.what, signal: outer }
  const response = await requests.trySend(settings, ({ signal }) =>
    client.download(start, count, {
      abortSignal: signal,
      // The body resumes by itself: it also notices a connection that is only silent.
      maxRetryRequests: 0,
      ...(etag !== undefined && { conditions: { ifMatch: quoted(etag) } }),
    }),
  )
  const stream = response.readableStreamBody
  if (!(stream instanceof Readable)) {
    throw new S3loError('UNAVAILABLE', `${options.what}: the answer has no body`)
  }
  try {
    const info = infoOf(response, start, options)
    const isWholeBlob = response.contentRange === undefined
    return { info, end: isWholeBlob ? info.size : Math.min(end ?? info.size, info.size), stream }
  } catch (error) {
    stream.destroy()
    throw error
  }
}

function infoOf(
  response: BlobDownloadResponseParsed,
  start: number,
  { key, what }: Pick<DownloadOptions, 'key' | 'what'>,
): ObjectInfo {
  if (!isWhole(response)) throw new S3loError('NOT_FOUND', `${what} does not exist`)
  // Without a range in the answer, it is the whole blob.
  if (start === 0 && response.contentRange === undefined) return toObjectInfo(key, response)
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
