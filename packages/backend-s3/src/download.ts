import { Readable } from 'node:stream'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type ObjectPiece,
  type PieceRequest,
  placeOf,
  rangeOf,
} from '@s3lo/core/transfer'
import { listedDate } from './list.ts'
import { quoted, toObjectInfo } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** Opens a piece of an object, of the version that is asked for. */
export async function openPiece(
  service: S3Service,
  key: string,
  piece: PieceRequest,
  attempt: Attempt,
): Promise<ObjectPiece> {
  const { etag } = piece
  const range = rangeOf(piece)
  const command = new GetObjectCommand({
    Bucket: service.bucket,
    Key: key,
    ...(range !== undefined && { Range: range }),
    ...(etag !== undefined && { IfMatch: quoted(etag) }),
  })
  const output = await service.client.send(command, { abortSignal: attempt.signal })
  const { Body: stream, ETag, StorageClass: storageClass, ContentRange, ContentLength } = output
  const what = service.nameOf(key)
  if (!(stream instanceof Readable)) {
    throw new S3loError('UNAVAILABLE', `${what}: the answer has no body`)
  }
  try {
    let { LastModified: lastModified } = output
    if (ETag) lastModified ??= await listedDate(service, key, attempt)
    const { size, end } = placeOf(what, piece, ContentRange, ContentLength)
    const info = toObjectInfo(key, { size, etag: ETag, lastModified, storageClass })
    return { info, end, stream }
  } catch (error) {
    stream.destroy()
    throw error
  }
}
