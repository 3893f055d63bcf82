import { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { type ByteRange, type ObjectBody, type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import {
  type CallSettings,
  type ObjectPiece,
  openObject,
  type OpenObjectOptions,
  type PieceRequest,
} from '@s3lo/core/transfer'
import { listedDate } from './list.ts'
import { quoted, toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** What is read, and how. */
export interface OpenS3ObjectOptions extends CallSettings {
  readonly key: string
  readonly range?: ByteRange | undefined
  readonly parallel: OpenObjectOptions['parallel']
  /** The object's facts. Throws `NOT_FOUND`. */
  readonly head: () => Promise<ObjectInfo>
}

/** Opens an object, or a range of it, as the version that it is now. Throws `NOT_FOUND`. */
export async function openS3Object(
  service: S3Service,
  options: OpenS3ObjectOptions,
): Promise<ObjectBody> {
  const { key, what } = options
  return openObject({
    ...options,
    requests: service.requests,
    open: (request) => download(service, key, what, request),
  })
}

async function download(
  service: S3Service,
  key: string,
  what: string,
  { start, end, etag, signal }: PieceRequest,
): Promise<ObjectPiece> {
  const range = start === 0 && end === undefined ? undefined : `bytes=${start}-${lastOf(end)}`
  const input = {
    Bucket: service.bucket,
    Key: key,
    ...(range !== undefined && { Range: range }),
    ...(etag !== undefined && { IfMatch: quoted(etag) }),
  }
  const output = await service.trySend({ what, signal }, (client, attempt) =>
    client.send(new GetObjectCommand(input), { abortSignal: attempt.signal }),
  )
  const { Body: stream } = output
  if (!(stream instanceof Readable)) {
    throw new S3loError('UNAVAILABLE', `${what}: the answer has no body`)
  }
  try {
    if (output.ETag) output.LastModified ??= await listedDate(service, key, { what, signal })
    const info = infoOf(output, key, what, start)
    const isWhole = output.ContentRange === undefined
    return { info, end: isWhole ? info.size : Math.min(end ?? info.size, info.size), stream }
  } catch (error) {
    stream.destroy()
    throw error
  }
}

function infoOf(
  output: GetObjectCommandOutput,
  key: string,
  what: string,
  start: number,
): ObjectInfo {
  const { ETag: etag, LastModified: lastModified, StorageClass: storageClass } = output
  const facts = { etag, lastModified, storageClass }
  // Without a range in the answer, it is the whole object.
  if (start === 0 && output.ContentRange === undefined) {
    return toObjectInfo(key, { ...facts, size: output.ContentLength })
  }
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(output.ContentRange ?? '') ?? []
  if (Number(first) === start && size !== undefined) {
    return toObjectInfo(key, { ...facts, size: Number(size) })
  }
  throw new S3loError(
    'UNSUPPORTED',
    `${what}: the service does not give the range it was asked for`,
  )
}

function lastOf(end: number | undefined): string {
  return end === undefined ? '' : String(end - 1)
}
