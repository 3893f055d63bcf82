import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import { type Attempt, Requests } from '@s3lo/core/transfer'
import { parseUploadRange } from './content-range.ts'
import type { RegistryAnswer } from './registry-client.ts'
import { noAnswer, TransientError } from './registry-error.ts'
import { digestIn, type RepositoryApi } from './repository-api.ts'

/** The registry has lost the upload, or holds other bytes than it was sent: it starts anew. */
export class UploadLost extends Error {
  override readonly name = 'UploadLost'
}

/** The registry takes no chunks: the blob goes in one piece. */
export class ChunksRefused extends Error {
  override readonly name = 'ChunksRefused'
}

/** What a chunk that was taken is answered with: 202 by the specification, others by ECR and Pulp. */
const TAKEN = [200, 201, 202, 204]
/** What an upload is opened with: 202 by the specification. */
export const UPLOAD_OPENED = [200, 202, 204]

/** True for an answer that says where an upload is to go. */
export function isUploadOpened({ status, headers }: RegistryAnswer): boolean {
  return UPLOAD_OPENED.includes(status) && headers.get('location') !== undefined
}

/** What the last request is answered with: 201 by the specification; the others may mean less. */
const STORED = [201, 204]
const PERHAPS_STORED = [200, 202]
/** What a refused chunk is answered with; anything else is a failure of its own. */
const REFUSALS = [400, 404, 405, 411, 413, 415, 416, 501]
/** What the last request of chunks is answered with that are not there, or do not add up. */
const NOT_WHOLE = [400, 404, 416]
/** A registry may copy a large blob to its place, silently, before it answers the last request. */
const FINISH_PATIENCE = 5
const CANCEL_STALL_MS = 5000

/** Opens an upload. Throws s3lo errors; to be called within an attempt. */
export async function startUpload(api: RepositoryApi, attempt: Attempt): Promise<UploadSession> {
  const answer = await api.client.answer(
    {
      method: 'POST',
      to: api.path('blobs/uploads/'),
      what: api.nameOf({}),
      scopes: api.scopes('push'),
      expect: UPLOAD_OPENED,
      body: new Uint8Array(),
    },
    attempt,
  )
  return new UploadSession(api, answer)
}

/** An upload under way (OCI distribution spec v1.1.1, "pushing blobs"): it knows its newest location. */
export class UploadSession {
  /** Bytes that a chunk must have at least, but for the last one. */
  readonly minChunkBytes: number
  readonly #api: RepositoryApi
  readonly #what: string
  #url: URL
  #hasChunks = false
  #isGivenUp = false

  constructor(api: RepositoryApi, answer: RegistryAnswer) {
    this.#api = api
    this.#what = `an upload to ${api.nameOf({})}`
    this.#url = this.#locate(answer)
    const least = answer.headers.get('oci-chunk-min-length') ?? ''
    this.minChunkBytes = /^\d{1,15}$/.test(least) ? Number(least) : 0
  }

  /**
   * Appends the bytes that belong at `offset`. After an interruption the registry is asked how
   * far it came. Throws {@link UploadLost} when it cannot continue there, {@link ChunksRefused} when
   * it takes no chunk at all.
   */
  async append(bytes: Uint8Array, offset: number, { signal }: CallOptions): Promise<void> {
    const end = offset + bytes.byteLength
    let isUncertain = false
    const onRetry = (): void => void (isUncertain = true)
    await this.#api.client.requests.send({ what: this.#what, signal, onRetry }, async (attempt) => {
      const start = isUncertain ? await this.#heldSize(attempt) : offset
      if (start < offset || start > end) throw new UploadLost('the registry holds other bytes')
      if (start === end) return
      const rest = bytes.subarray(start - offset)
      const answer = await this.#call('PATCH', this.#url, attempt, {
        expect: [...TAKEN, ...REFUSALS],
        headers: {
          'content-type': 'application/octet-stream',
          'content-range': `${start}-${end - 1}`,
        },
        body: rest,
      })
      if (!TAKEN.includes(answer.status)) {
        throw offset === 0 && !isUncertain
          ? new ChunksRefused(`status ${answer.status}`)
          : new UploadLost(`status ${answer.status}`)
      }
      this.#hasChunks = true
      this.#moveTo(answer)
      // Its `Range` may be that of the first chunk, or of this one alone: the digest is the judge.
    })
  }

  /**
   * Ends the upload, with all bytes or with those that are left. To be called within an attempt.
   * Throws {@link UploadLost} when the registry does not have all chunks as they were sent.
   */
  async finish(
    digest: string,
    attempt: Attempt,
    content: Pick<Parameters<RepositoryApi['client']['ask']>[0], 'body' | 'stream'> = {},
  ): Promise<void> {
    const url = new URL(this.#url)
    url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`
    const { stallMs } = this.#api.client.requests.policy
    const answer = await this.#call('PUT', url, attempt, {
      patienceMs: FINISH_PATIENCE * stallMs,
      expect: [...STORED, ...PERHAPS_STORED, ...(this.#hasChunks ? NOT_WHOLE : [404])],
      headers: { 'content-type': 'application/octet-stream' },
      ...(content.stream ? content : { body: content.body ?? new Uint8Array() }),
    })
    if (answer.status >= 400) throw new UploadLost(`status ${answer.status}`)
    const stored = digestIn(answer.headers)
    if (stored === undefined && PERHAPS_STORED.includes(answer.status)) {
      await this.#assertStored(digest, answer.status, attempt)
    }
    if (stored === undefined || stored === digest || !stored.startsWith('sha')) return
    if (stored.split(':', 1)[0] !== digest.split(':', 1)[0]) return
    throw new S3loError('INTEGRITY', `${this.#what}: the registry stored ${stored}, not ${digest}`)
  }

  /** After an answer that says nothing of what was done. */
  async #assertStored(digest: string, status: number, attempt: Attempt): Promise<void> {
    const { host } = this.#api.client
    const { status: found } = await this.#call('HEAD', this.#blobUrl(digest), attempt, {
      expect: [200, 404],
    })
    if (found === 200) return
    throw new TransientError(noAnswer(this.#what, host, `status ${status}, and no blob is there`))
  }

  #blobUrl(digest: string): URL {
    return new URL(this.#api.path(`blobs/${digest}`), this.#api.client.origin)
  }

  /** Gives the upload up, as far as the registry can be told; it forgets uploads by itself in time. */
  async cancel(): Promise<void> {
    if (this.#isGivenUp) return
    this.#isGivenUp = true
    const { requests } = this.#api.client
    const policy = { ...requests.policy, attempts: 1, stallMs: CANCEL_STALL_MS }
    const once = new Requests(policy, requests.toFailure)
    await once
      .send({ what: this.#what }, (given) => {
        // No credentials are looked up for this.
        const attempt = { ...given, expectSilence: (): void => {} }
        return this.#call('DELETE', this.#url, attempt, { expect: [200, 202, 204, 404, 405] })
      })
      .catch(() => {}) // The failure of the upload is the error to report.
  }

  /** How many bytes the registry holds. */
  async #heldSize(attempt: Attempt): Promise<number> {
    const answer = await this.#call('GET', this.#url, attempt, {
      expect: [204, 200, 202, 400, 404, 405, 416],
    })
    if (answer.status >= 400) throw new UploadLost(`status ${answer.status}`)
    this.#moveTo(answer)
    const held = parseUploadRange(answer.headers.get('range'))
    if (held === undefined) throw new UploadLost('the registry does not say how far it came')
    // `0-0` is what most registries say of an upload that has nothing yet.
    return held === 1 ? 0 : held
  }

  async #call(
    method: 'GET' | 'HEAD' | 'PUT' | 'PATCH' | 'DELETE',
    to: URL,
    attempt: Attempt,
    call: Omit<Parameters<RepositoryApi['client']['ask']>[0], 'method' | 'to' | 'what' | 'scopes'>,
  ): Promise<RegistryAnswer> {
    const scopes = this.#api.scopes('push')
    return this.#api.client.answer({ method, to, what: this.#what, scopes, ...call }, attempt)
  }

  #moveTo(answer: RegistryAnswer): void {
    if (answer.headers.get('location') !== undefined) this.#url = this.#locate(answer)
  }

  #locate({ headers, url }: RegistryAnswer): URL {
    return this.#api.client.locate(headers.get('location'), url, this.#what)
  }
}
