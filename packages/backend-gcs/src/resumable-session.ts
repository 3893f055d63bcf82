import type { IncomingMessage } from 'node:http'
import { type JsonObject, S3loError } from '@s3lo/core/plugin'
import { type Attempt, type CallSettings, ForeignAnswerError } from '@s3lo/core/transfer'
import { AnswerError } from './errors.ts'
import { type GcsClient, isMissing, parseAnswer } from './gcs-client.ts'
import { readAnswer } from './http-client.ts'
import { OBJECT_FIELDS, toObjectInfo } from './object-info.ts'

const MAX_ANSWER_BYTES = 1024 * 1024
/** A session is cancelled in this time, or left: the service drops it after a week. */
const CANCEL_MS = 700

/** What is uploaded. */
export interface SessionOptions {
  readonly query: Readonly<Record<string, string | undefined>>
  readonly resource: JsonObject
  readonly mediaType: string
}

/** How far the service has come: the object when it is whole, else the first byte that it lacks. */
type Progress = { readonly object: JsonObject } | { readonly offset: number }

/**
 * A resumable upload (JSON API): chunks in order, each of which may arrive in part. Nothing of it
 * is visible before the last byte; the condition is judged then.
 */
export class ResumableSession {
  readonly #client: GcsClient
  readonly #settings: CallSettings
  /** With the id of the upload, which is all the authority that a chunk needs. */
  readonly #path: string
  /** Bytes that the service has for sure. */
  #offset = 0

  private constructor(client: GcsClient, settings: CallSettings, path: string) {
    this.#client = client
    this.#settings = settings
    this.#path = path
  }

  /** Begins an upload. */
  static async open(
    client: GcsClient,
    settings: CallSettings,
    { query, resource, mediaType }: SessionOptions,
  ): Promise<ResumableSession> {
    const body = [Buffer.from(JSON.stringify(resource))]
    const request = {
      method: 'POST',
      prefix: '/upload',
      path: '/o',
      query: { ...query, uploadType: 'resumable', fields: OBJECT_FIELDS },
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'x-upload-content-type': mediaType,
      },
      body,
    } as const
    const { what, signal } = settings
    const path = await client.requests
      .trySend({ what, signal }, async (attempt) => {
        const response = await client.open(request, attempt)
        response.resume()
        return sessionPath(response.headers.location)
      })
      .catch(async (error: unknown) => {
        if (isMissing(error)) await client.assertBucket({ what, signal })
        throw error
      })
    return new ResumableSession(client, settings, path)
  }

  /** Sends a chunk that is not the last: a multiple of 256 KiB. */
  async send(bytes: Uint8Array): Promise<void> {
    if (await this.#advance(bytes, undefined)) throw broken(this.#settings.what)
  }

  /** Sends the last chunk, and gives the object. The service refuses it where the MD5 is another one. */
  async finish(bytes: Uint8Array, md5: string): Promise<JsonObject> {
    const object = await this.#advance(bytes, md5)
    if (object === undefined) throw broken(this.#settings.what)
    return object
  }

  /** Tells the service to drop what it has. Never throws. */
  async cancel(): Promise<void> {
    const signal = AbortSignal.timeout(CANCEL_MS)
    try {
      const ignore = (): void => {}
      const attempt = { signal, progress: ignore, received: ignore, expectSilence: ignore }
      const response = await this.#client.raw({ method: 'DELETE', path: this.#path }, attempt)
      response.resume()
    } catch {
      // It answers 499 when it has done so, and drops the rest after a week.
    }
  }

  /** Sends bytes until the service has all of them, or, with `md5`, has made the object. */
  async #advance(bytes: Uint8Array, md5: string | undefined): Promise<JsonObject | undefined> {
    const start = this.#offset
    const end = start + bytes.byteLength
    const { attempts } = this.#client.requests.policy
    for (let standstills = 0; standstills < attempts;) {
      const before = this.#offset
      const progress = await this.#send(bytes.subarray(before - start), end, md5)
      if ('object' in progress) return progress.object
      const { offset } = progress
      if (offset < before || offset > end) throw broken(this.#settings.what)
      this.#offset = offset
      if (offset === end && md5 === undefined) return undefined
      standstills = offset > before ? 0 : standstills + 1
    }
    throw broken(this.#settings.what)
  }

  async #send(bytes: Uint8Array, end: number, md5: string | undefined): Promise<Progress> {
    let isUnsure = false
    const { what, signal, onRetry } = this.#settings
    const settings = {
      what,
      signal,
      onRetry: (): void => {
        isUnsure = true
        onRetry?.()
      },
    }
    const total = md5 === undefined ? '*' : String(end)
    return this.#client.requests.trySend(settings, async (attempt) => {
      // Some of a chunk that broke off may have arrived, or all of it and only the answer was lost.
      if (isUnsure) return this.#put([], `bytes */${total}`, undefined, attempt)
      const range = bytes.byteLength === 0 ? '*' : `${end - bytes.byteLength}-${end - 1}`
      return this.#put([bytes], `bytes ${range}/${total}`, md5, attempt)
    })
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
    const { what } = this.#settings
    const message = `${what}: the content was damaged on its way to the service`
    throw new S3loError('INTEGRITY', message, { hint: 'try again', cause: error })
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
