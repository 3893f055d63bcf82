import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  type FoundObject,
  type ObjectPiece,
  type PieceRequest,
  placeOf,
  rangeOf,
} from '@s3lo/core/transfer'
import type { S3Answer } from './answer-check.ts'
import { listedDate } from './list.ts'
import { factsIn, type ObjectFacts, quoted, toObjectInfo, WRITE_ID } from './object-info.ts'
import type { S3Service } from './s3-service.ts'

/** The facts of an object. */
export async function findObject(
  service: S3Service,
  key: string,
  attempt: Attempt,
): Promise<FoundObject> {
  const answer = await service.request({ operation: 'HeadObject', key }, attempt)
  const info = toObjectInfo(key, await factsOf(service, key, answer, attempt))
  return { info, mark: answer.headers[`x-amz-meta-${WRITE_ID}`] }
}

/** Opens a piece of an object, of the version that is asked for. */
export async function openPiece(
  service: S3Service,
  key: string,
  piece: PieceRequest,
  attempt: Attempt,
): Promise<ObjectPiece> {
  const { etag } = piece
  const range = rangeOf(piece)
  const headers = {
    ...(range !== undefined && { range }),
    ...(etag !== undefined && { 'if-match': quoted(etag) }),
  }
  const answer = await service.request({ operation: 'GetObject', key, headers }, attempt)
  const { stream } = answer
  const what = service.nameOf(key)
  if (!stream) throw new S3loError('UNAVAILABLE', `${what}: the answer has no body`)
  try {
    const facts = await factsOf(service, key, answer, attempt)
    const { size, end } = placeOf(what, piece, answer.headers['content-range'], facts.size)
    return { info: toObjectInfo(key, { ...facts, size }), end, stream }
  } catch (error) {
    stream.destroy()
    throw error
  }
}

/** With the date of the listing where a proxy has taken that of the answer. */
async function factsOf(
  service: S3Service,
  key: string,
  { headers }: S3Answer,
  attempt: Attempt,
): Promise<ObjectFacts> {
  const facts = factsIn(headers)
  if (!facts.etag || facts.lastModified) return facts
  return { ...facts, lastModified: await listedDate(service, key, attempt) }
}
