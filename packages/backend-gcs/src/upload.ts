import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { type JsonObject, type ObjectInfo, type PutOptions, S3loError } from '@s3lo/core/plugin'
import {
  type BufferPool,
  type CallSettings,
  failureOf,
  type ByteBudget,
  type Part,
  readParts,
  RequestError,
  toThrown,
  ForeignAnswerError,
} from '@s3lo/core/transfer'
import { AnswerError, toFailure } from './errors.ts'
import { type GcsClient, isMissing, objectPath } from './gcs-client.ts'
import { infoOfHeaders, metadataOf, OBJECT_FIELDS, toObjectInfo } from './object-info.ts'
import { ResumableSession } from './resumable-session.ts'

/** Names the write that made an object, for the one case that its answer is lost. */
const WRITE_ID = 's3lo_write'
const DEFAULT_MEDIA_TYPE = 'application/octet-stream'

/** What all uploads of a backend share. */
export interface UploadContext {
  readonly client: GcsClient
  readonly budget: ByteBudget
  /** Objects of up to this size are sent in one request, larger ones in chunks of this size. */
  readonly partBytes: number
  /** Memory for chunks. */
  readonly pool: BufferPool
}

/** Writes an object whole or not at all. Does not destroy the body. */
export async function upload(
  context: UploadContext,
  key: string,
  body: Uint8Array | Readable,
  options: PutOptions,
): Promise<ObjectInfo> {
  assertMediaType(options.mediaType)
  const write = new Write(context, key, options)
  const { partBytes, pool } = context
  const parts = readParts(body, {
    what: write.what,
    size: options.size,
    partBytes,
    // What is in memory already is the caller's, and must not be written over.
    pool: body instanceof Uint8Array ? undefined : pool,
    mostParts: Number.MAX_SAFE_INTEGER,
  })
  const first = await parts.next()
  if (first.done) throw new S3loError('INTERNAL', 'a body has no last part')
  try {
    if (first.value.isLast) return await write.whole(first.value.bytes)
    if (options.notAfter !== undefined) throw tooLargeForDeadline(write.what, partBytes)
    return await write.inChunks(first.value, parts, (bytes) => {
      if (!(body instanceof Uint8Array)) pool.give(bytes)
    })
  } catch (error) {
    throw error instanceof ForeignAnswerError ? toFailure(error, write.what).error : toThrown(error)
  }
}

/** One write of one object. */
class Write {
  readonly what: string
  readonly #context: UploadContext
  readonly #key: string
  readonly #options: PutOptions
  readonly #id = randomUUID()

  constructor(context: UploadContext, key: string, options: PutOptions) {
    this.what = `gs://${context.client.bucket}/${key}`
    this.#context = context
    this.#key = key
    this.#options = options
  }

  /** Sends the object in one request. */
  async whole(bytes: Uint8Array): Promise<ObjectInfo> {
    return this.#options.notAfter === undefined ? this.#multipart(bytes) : this.#timed(bytes)
  }

  /** Sends the object in chunks, one after the other as the service wants it. */
  async inChunks(
    first: Part,
    others: AsyncIterator<Part>,
    giveBack: (bytes: Uint8Array) => void,
  ): Promise<ObjectInfo> {
    const { client, budget } = this.#context
    let isUnsure = false
    const settings: CallSettings = {
      what: this.what,
      signal: this.#options.signal,
      onRetry: () => {
        isUnsure = true
      },
    }
    const session = await ResumableSession.open(client, settings, {
      query: this.#query(),
      resource: this.#resource(true),
      mediaType: this.#mediaType,
    })
    const reserved = first.bytes.byteLength
    budget.take(reserved)
    try {
      return await this.#sendChunks(session, first, others, giveBack)
    } catch (error) {
      await session.cancel()
      const found = isUnsure && isSettled(error) ? await this.#findByMark() : undefined
      if (found) return found
      throw error
    } finally {
      budget.giveBack(reserved)
    }
  }

  async #sendChunks(
    session: ResumableSession,
    first: Part,
    others: AsyncIterator<Part>,
    giveBack: (bytes: Uint8Array) => void,
  ): Promise<ObjectInfo> {
    const { budget } = this.#context
    const hash = createHash('md5')
    let part = first
    while (!part.isLast) {
      hash.update(part.bytes)
      // The next part is read while this one is sent, as far as memory goes.
      const reserved = part.bytes.byteLength
      const isAhead = budget.tryTake(reserved)
      const next = isAhead ? settle(others.next()) : undefined
      try {
        await session.send(part.bytes)
      } finally {
        if (isAhead) budget.giveBack(reserved)
      }
      giveBack(part.bytes)
      part = partOf(next ? unwrap(await next) : await others.next())
    }
    const expected = hash.update(part.bytes).digest('base64')
    const object = await session.finish(part.bytes, expected)
    giveBack(part.bytes)
    return this.#verified(object, expected)
  }

  /** For a service that does not heed the checksum itself. */
  async #verified(object: JsonObject, expected: string): Promise<ObjectInfo> {
    const info = toObjectInfo(object)
    const { md5Hash } = object
    if (md5Hash === undefined || md5Hash === expected) return info
    const { client } = this.#context
    const query = { ifGenerationMatch: info.etag }
    const request = { method: 'DELETE', path: objectPath(this.#key), query } as const
    const response = await client.requests.trySend(this.#settings, (attempt) =>
      client.open(request, attempt),
    )
    response.resume()
    const text = 'was stored with other bytes than were sent'
    throw new RequestError(failureOf({ code: 'INTEGRITY', text }, this.what))
  }

  /** JSON API, one request: the facts and the content in a multipart body (RFC 2387). */
  async #multipart(bytes: Uint8Array): Promise<ObjectInfo> {
    const { client } = this.#context
    const { condition } = this.#options
    // Without a condition another attempt writes the same again, so they need not be told apart.
    const resource = { ...this.#resource(condition !== undefined), md5Hash: md5(bytes) }
    const boundary = randomUUID()
    const body = [
      Buffer.from(
        `--${boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n` +
          `${JSON.stringify(resource)}\r\n--${boundary}\r\ncontent-type: ${this.#mediaType}\r\n\r\n`,
      ),
      bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]
    const headers = { 'content-type': `multipart/related; boundary=${boundary}` }
    const query = { ...this.#query(), uploadType: 'multipart', fields: OBJECT_FIELDS }
    return this.#settle(condition !== undefined, (settings) =>
      client.requests.trySend(settings, async (attempt) => {
        const request = {
          method: 'POST',
          prefix: '/upload',
          path: '/o',
          query,
          headers,
          body,
        } as const
        return toObjectInfo(await client.json(request, attempt).catch(sayDamaged))
      }),
    )
  }

  /** XML API, one signed request: the only kind that ends by itself. */
  async #timed(bytes: Uint8Array): Promise<ObjectInfo> {
    const { client } = this.#context
    const { condition, notAfter = new Date(Number.NaN) } = this.#options
    const headers = {
      'content-md5': md5(bytes),
      'content-type': this.#mediaType,
      [`x-goog-meta-${WRITE_ID}`]: this.#id,
      ...(condition && { 'x-goog-if-generation-match': generationOf(condition) }),
    }
    const request = { method: 'PUT', key: this.#key, notAfter, headers, body: [bytes] } as const
    return this.#settle(true, (settings) =>
      client.requests.trySend(settings, async (attempt) => {
        const answer = await client.timed(request, attempt)
        return infoOfHeaders(this.#key, answer.headers, String(bytes.byteLength))
      }),
    )
  }

  /**
   * Sends the request that makes the object appear. After an attempt whose answer was lost, a
   * refusal of the next one may come from our own object, so it is looked for.
   */
  async #settle(
    isGuarded: boolean,
    send: (settings: CallSettings) => Promise<ObjectInfo>,
  ): Promise<ObjectInfo> {
    let isUnsure = false
    const onRetry = (): void => {
      isUnsure = true
    }
    try {
      const { signal, onUnanswered } = this.#options
      return await send({ what: this.what, signal, onRetry, onUnanswered })
    } catch (error) {
      const found = isGuarded && isUnsure && isSettled(error) ? await this.#findByMark() : undefined
      if (found) return found
      if (isMissing(error)) await this.#context.client.assertBucket(this.#settings)
      throw error
    }
  }

  async #findByMark(): Promise<ObjectInfo | undefined> {
    const { client } = this.#context
    try {
      const resource = await client.requests.trySend(this.#settings, (attempt) =>
        client.json(
          { method: 'GET', path: objectPath(this.#key), query: { fields: OBJECT_FIELDS } },
          attempt,
        ),
      )
      return metadataOf(resource, WRITE_ID) === this.#id ? toObjectInfo(resource) : undefined
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  get #settings(): CallSettings {
    return { what: this.what, signal: this.#options.signal }
  }

  get #mediaType(): string {
    return this.#options.mediaType ?? DEFAULT_MEDIA_TYPE
  }

  #query(): Record<string, string | undefined> {
    const { condition } = this.#options
    return { ifGenerationMatch: condition && generationOf(condition) }
  }

  #resource(isMarked: boolean): JsonObject {
    return {
      name: this.#key,
      contentType: this.#mediaType,
      ...(isMarked && { metadata: { [WRITE_ID]: this.#id } }),
    }
  }
}

/** It stands in a header and between the parts of a body, where a line break would begin another. */
function assertMediaType(mediaType: string | undefined): void {
  if (mediaType === undefined || /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(mediaType))
    return
  throw new S3loError('USAGE', `${JSON.stringify(mediaType.slice(0, 80))} is not a media type`)
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

/** True for a failure after which the caller has to look whether the write took effect. */
function isSettled(error: unknown): boolean {
  return error instanceof RequestError
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64')
}

function partOf(result: IteratorResult<Part>): Part {
  if (result.done) throw new S3loError('INTERNAL', 'a body has no last part')
  return result.value
}

type Settled<T> = { readonly value: T } | { readonly error: unknown }

/** Keeps a failure until it is asked for, so that it is not an unhandled one. */
async function settle<T>(promise: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await promise }
  } catch (error) {
    return { error }
  }
}

function unwrap<T>(settled: Settled<T>): T {
  if ('error' in settled) throw settled.error
  return settled.value
}

function tooLargeForDeadline(what: string, most: number): S3loError {
  return new S3loError(
    'UNSUPPORTED',
    `${what} is larger than the ${most} bytes that Google Cloud Storage takes with a deadline`,
    { hint: 'a signature ends only single requests: an upload in chunks continues without it' },
  )
}
