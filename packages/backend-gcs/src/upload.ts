import { createHash, randomUUID } from 'node:crypto'
import { type JsonObject, type PutOptions, S3loError } from '@s3lo/core/plugin'
import type { Attempt, ObjectWrite, WriteAnswer } from '@s3lo/core/transfer'
import { AnswerError } from './errors.ts'
import type { GcsClient } from './gcs-client.ts'
import { infoOfHeaders, OBJECT_FIELDS, toObjectInfo } from './object-info.ts'

/** The key of an object's own metadata that identifies the write that made it. */
export const WRITE_ID = 's3lo_write'
const DEFAULT_MEDIA_TYPE = 'application/octet-stream'

/** Writes an object in one request. */
export async function putObject(
  client: GcsClient,
  write: ObjectWrite,
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const { notAfter } = write
  return notAfter === undefined
    ? putByJson(client, write, bytes, attempt)
    : putTimed(client, { ...write, notAfter }, bytes, attempt)
}

/** JSON API, one request: the facts and the content in a multipart body (RFC 2387). */
async function putByJson(
  client: GcsClient,
  write: ObjectWrite,
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const resource = { ...resourceOf(write), md5Hash: md5(bytes) }
  const boundary = randomUUID()
  const request = {
    method: 'POST',
    prefix: '/upload',
    path: '/o',
    query: { ...conditionOf(write), uploadType: 'multipart', fields: OBJECT_FIELDS },
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: [
      Buffer.from(
        `--${boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n` +
          `${JSON.stringify(resource)}\r\n--${boundary}\r\ncontent-type: ${mediaTypeOf(write)}\r\n\r\n`,
      ),
      bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ],
  } as const
  return toObjectInfo(await client.json(request, attempt).catch(sayDamaged))
}

/** XML API, one signed request: the only kind that ends by itself. */
async function putTimed(
  client: GcsClient,
  write: ObjectWrite & { readonly notAfter: Date },
  bytes: Uint8Array,
  attempt: Attempt,
): Promise<WriteAnswer> {
  const { key, notAfter, condition, mark } = write
  const headers = {
    'content-md5': md5(bytes),
    'content-type': mediaTypeOf(write),
    ...(mark !== undefined && { [`x-goog-meta-${WRITE_ID}`]: mark }),
    ...(condition && { 'x-goog-if-generation-match': generationOf(condition) }),
  }
  const request = { method: 'PUT', key, notAfter, headers, body: [bytes] } as const
  const answer = await client.timed(request, attempt)
  return infoOfHeaders(key, answer.headers, String(bytes.byteLength))
}

export function mediaTypeOf({ mediaType }: ObjectWrite): string {
  return mediaType ?? DEFAULT_MEDIA_TYPE
}

/** The condition of a write, as a query of the JSON API. */
export function conditionOf({ condition }: ObjectWrite): Record<string, string | undefined> {
  return { ifGenerationMatch: condition && generationOf(condition) }
}

/** What the JSON API stores beside the content. */
export function resourceOf(write: ObjectWrite): JsonObject {
  const { key, mark } = write
  return {
    name: key,
    contentType: mediaTypeOf(write),
    ...(mark !== undefined && { metadata: { [WRITE_ID]: mark } }),
  }
}

/** It stands in a header and between the parts of a body, where a line break would begin another. */
export function assertMediaType(mediaType: string | undefined): void {
  if (mediaType === undefined || /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(mediaType))
    return
  throw new S3loError('USAGE', `${JSON.stringify(mediaType.slice(0, 80))} is not a media type`)
}

export function tooLargeForDeadline(what: string): S3loError {
  return new S3loError(
    'UNSUPPORTED',
    `${what} is larger than what Google Cloud Storage takes in one request with a deadline`,
    { hint: 'a signature ends only single requests: an upload in chunks continues without it' },
  )
}

/** No object has the generation 0. One that no object can have is not sent: it would be no number. */
function generationOf(condition: NonNullable<PutOptions['condition']>): string {
  if (condition.kind === 'absent') return '0'
  if (/^[1-9]\d{0,18}$/.test(condition.etag)) return condition.etag
  throw new S3loError('CONFLICT', `no object of gs:// has the etag ${condition.etag}`)
}

/** The JSON API has no code of its own for a checksum that does not fit. */
function sayDamaged(error: unknown): never {
  const isInvalid = error instanceof AnswerError && error.reason === 'invalid'
  throw isInvalid ? new AnswerError(error.status, 'BadDigest', error.headers) : error
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64')
}
