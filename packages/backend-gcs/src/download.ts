import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  type ObjectPiece,
  type PieceRequest,
  placeOf,
  rangeOf,
  readAnswer,
} from '@s3lo/core/transfer'
import { AnswerError, DamagedContentError } from './errors.ts'
import { type GcsClient, objectPath } from './gcs-client.ts'
import { infoOfHeaders } from './object-info.ts'

/**
 * An object up to this size (bytes) that comes whole is held against its MD5 before any of it is given: the
 * manifest of a tag has no digest that tells a wrong bit. It is the most that a manifest has.
 */
const MOST_CHECKED_BYTES = 4 * 1024 * 1024

/** Opens a piece of an object, of the generation that is asked for. */
export async function openPiece(
  client: GcsClient,
  key: string,
  piece: PieceRequest,
  attempt: Attempt,
): Promise<ObjectPiece> {
  const range = rangeOf(piece)
  const request = {
    method: 'GET',
    path: objectPath(key),
    query: { alt: 'media', generation: piece.etag },
    headers: {
      // What is stored compressed would be unpacked on the way, and be of another length.
      'accept-encoding': 'gzip',
      ...(range !== undefined && { range }),
    },
  } as const
  const what = `gs://${client.bucket}/${key}`
  const stream = await client
    .open(request, attempt)
    .catch((error: unknown) => explain(client, what, request, error, attempt))
  try {
    const { headers } = stream
    if (headers['x-goog-generation'] === undefined) {
      throw new ForeignAnswerError('the content of an object without its generation')
    }
    const stored = headers['content-length'] ?? headers['x-goog-stored-content-length']
    const length = typeof stored === 'string' ? Number(stored) : undefined
    const { size, end } = placeOf(what, piece, headers['content-range'], length)
    const info = infoOfHeaders(key, headers, String(size))
    const isWhole = piece.start === 0 && end === size && size <= MOST_CHECKED_BYTES
    const md5 = isWhole ? md5Of(headers) : undefined
    const checked = md5 === undefined ? stream : await readChecked(stream, md5, attempt)
    return { info, end, stream: checked }
  } catch (error) {
    stream.destroy()
    throw error
  }
}

/** Of the whole object; an object that was composed of others has none. */
function md5Of(headers: IncomingHttpHeaders): string | undefined {
  const hashes = String(headers['x-goog-hash'] ?? '')
  return /(?:^|[,\s])md5=([A-Za-z0-9+/]{22}==)/.exec(hashes)?.[1]
}

/** Throws {@link DamagedContentError} for other bytes. */
async function readChecked(
  stream: IncomingMessage,
  md5: string,
  { progress }: Attempt,
): Promise<Readable> {
  const content = await readAnswer(stream, MOST_CHECKED_BYTES, progress)
  const actual = createHash('md5').update(content).digest('base64')
  if (actual !== md5) throw new DamagedContentError(`expected the MD5 ${md5}, got ${actual}`)
  return Readable.from([content], { objectMode: false })
}

/**
 * The service says in plain words that content is missing, as any proxy could; so it is asked for
 * the object's facts, whose absence it states in its own form.
 */
async function explain(
  client: GcsClient,
  what: string,
  { path, query: { generation } }: { path: string; query: { generation: string | undefined } },
  error: unknown,
  attempt: Attempt,
): Promise<never> {
  if (!(error instanceof AnswerError) || error.status !== 404) throw error
  try {
    if (error.reason) throw error
    await client.json({ method: 'GET', path, query: { generation, fields: 'generation' } }, attempt)
  } catch (reason) {
    const isMissing = reason instanceof AnswerError && reason.status === 404 && reason.reason
    // A generation that is gone was replaced or deleted while it was read.
    if (!isMissing || generation === undefined) throw reason
    throw new S3loError('CONFLICT', `${what} was changed by another client while it was read`)
  }
  throw new ForeignAnswerError('HTTP 404 for the content of an object that is there')
}
