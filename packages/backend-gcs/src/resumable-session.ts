import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type JsonObject, S3loError } from '@s3lo/core/plugin'
import {
  type Attempt,
  ForeignAnswerError,
  type NumberedPart,
  type ObjectWrite,
  type PartsEnd,
  type PartsUpload,
  readAnswer,
  type WriteAnswer,
} from '@s3lo/core/transfer'
import { AnswerError } from './errors.ts'
import { type GcsClient, objectPath, parseAnswer } from './gcs-client.ts'
import { OBJECT_FIELDS, toObjectInfo } from './object-info.ts'
import { conditionOf, mediaTypeOf, resourceOf } from './upload.ts'

const MAX_ANSWER_BYTES = 1024 * 1024

/** How far the service has come: the object when it is whole, else the first byte that it lacks. */
type Progress = { readonly object: JsonObject } | { readonly offset: number }

/**
 * A resumable upload (JSON API): chunks in order, each of which may arrive in part. Nothing of it
 * is visible before the last byte; the condition is judged then.
 */
export class ResumableSession implements PartsUpload {
  readonly inOrder = true
  readonly #client: GcsClient
  readonly #write: ObjectWrite
  /** With the id of the upload, which is all the authority that a chunk needs. */
  readonly #path: string
  /** Where the present chunk begins. */
  #start = 0
  /** Bytes that the service has for sure. */
  #offset = 0
  /** Some of a chunk that broke off may have arrived, or all of it and only the answer was lost. */
  #mayHaveLanded = false
  #hashed = 0
  readonly #hash = createHash('md5')

  private constructor(client: GcsClient, write: ObjectWrite, path: string) {
    this.#client = client
    this.#write = write
    this.#path = path
  }

  /** Begins an upload. */
  static async open(
    client: GcsClient,
    write: ObjectWrite,
    attempt: Attempt,
  ): Promise<ResumableSession> {
    const request = {
      method: 'POST',
      prefix: '/upload',
      path: '/o',
      query: { ...conditionOf(write), uploadType: 'resumable', fields: OBJECT_FIELDS },
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'x-upload-content-type': mediaTypeOf(write),
      },
      body: [Buffer.from(JSON.stringify(resourceOf(write)))],
    } as const
    const response = await client.open(request, attempt)
    response.resume()
    return new ResumableSession(client, write, sessionPath(response.headers.location))
  }

  /** Sends a chunk that is not the last: a multiple of 256 KiB. */
  async send({ bytes, index }: NumberedPart, attempt: Attempt): Promise<void> {
    // Once, however often the chunk is sent.
    if (index === this.#hashed) {
      this.#hash.update(bytes)
      this.#hashed += 1
    }
    if (await this.#advance(bytes, undefined, attempt)) throw broken(this.#write.what)
  }

  /** Sends the last chunk. The service refuses it where the MD5 of the whole is another one. */
  async complete({ last = new Uint8Array() }: PartsEnd, attempt: Attempt): Promise<WriteAnswer> {
    const md5 = this.#hash.copy().update(last).digest('base64')
    const object = await this.#advance(last, md5, attempt)
    if (object === undefined) throw broken(this.#write.what)
    const info = toObjectInfo(object)
    const { md5Hash } = object
    // A service that does not heed the checksum itself may have stored other bytes.
    if (md5Hash === undefined || md5Hash === md5) return info
    const path = objectPath(this.#write.key)
    const request = { method: 'DELETE', path, query: { ifGenerationMatch: info.etag } } as const
    const response = await this.#client.open(request, attempt)
    response.resume()
    const message = `${this.#write.what} was stored with other bytes than were sent`
    throw new S3loError('INTEGRITY', message, { contentFault: false })
  }

  /** Tells the service to drop what it has. It answers 499 when it has done so. */
  async abort(attempt: Attempt): Promise<void> {
    const response = await this.#client.raw({ method: 'DELETE', path: this.#path }, attempt)
    response.resume()
  }

  /** Sends bytes until the service has all of them, or, with `md5`, has made the object. */
  async #advance(
    bytes: Uint8Array,
    md5: string | undefined,
    attempt: Attempt,
  ): Promise<JsonObject | undefined> {
    const end = this.#start + bytes.byteLength
    const total = md5 === undefined ? '*' : String(end)
    for (;;) {
      const before = this.#offset
      const rest = bytes.subarray(before - this.#start)
      const range = rest.byteLength === 0 ? '*' : `${before}-${end - 1}`
      const isAsked = this.#mayHaveLanded
      this.#mayHaveLanded = true
      const progress = isAsked
        ? await this.#put([], `bytes */${total}`, undefined, attempt)
        : await this.#put([rest], `bytes ${range}/${total}`, md5, attempt)
      this.#mayHaveLanded = false
      if ('object' in progress) return progress.object
      const { offset } = progress
      if (offset < before || offset > end) throw broken(this.#write.what)
      this.#offset = offset
      if (offset > before) attempt.advanced()
      if (offset === end && md5 === undefined) {
        this.#start = end
        return undefined
      }
      if (offset === before && !isAsked) {
        throw new ForeignAnswerError('expected an upload to advance, got none of it taken')
      }
    }
  }

  async #put(
    body: readonly Uint8Array[],
    range: string,
    md5: string | undefined,
    attempt: Attempt,
  ): Promise<Progress> {
    const headers = {
      'content-range': range,
      ...(md5 !== undefined && { 'x-goog-hash': `md5=${md5}` }),
    }
    const request = { method: 'PUT', path: this.#path, headers, body } as const
    const response = await this.#client
      .raw(request, attempt)
      .catch((error: unknown) => this.#explain(error, md5 !== undefined))
    const content = await readAnswer(response, MAX_ANSWER_BYTES, attempt.progress)
    if (response.statusCode !== 308) {
      const object = parseAnswer(content)
      // Without its facts it is none, and the upload itself is asked.
      toObjectInfo(object)
      return { object }
    }
    return { offset: persisted(response) }
  }

  #explain(error: unknown, isLast: boolean): never {
    if (!(error instanceof AnswerError)) throw error
    // Not the object is missing, but the upload.
    if (error.status === 404) throw new AnswerError(410, error.reason, error.headers)
    if (!isLast || error.reason !== 'invalid') throw error
    const { what } = this.#write
    const message = `${what}: the content was damaged on its way to the service`
    // What is stored is as it was.
    const given = { hint: 'try again', cause: error, contentFault: false }
    throw new S3loError('INTEGRITY', message, given)
  }
}

/** The address of a session. It need not be at the host that was asked: an emulator knows no other. */
function sessionPath(location: string | undefined): string {
  if (location === undefined || !URL.canParse(location)) {
    throw new ForeignAnswerError('an upload without an address')
  }
  const { pathname, search } = new URL(location)
  return pathname + search
}

/** How many bytes the service has: its range is inclusive, and absent when there are none. */
function persisted({ headers }: IncomingMessage): number {
  const { range } = headers
  if (range === undefined) return 0
  const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(range) ?? []
  if (last === undefined) throw new ForeignAnswerError('an upload with gaps')
  return Number(last) + 1
}

function broken(what: string): S3loError {
  return new S3loError('UNAVAILABLE', `${what}: the service does not take the upload further`, {
    hint: 'try again later',
  })
}
