import { Readable } from 'node:stream'
import type { ByteRange } from '../contract/call-options.ts'
import type { ObjectBody, ObjectInfo } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { ForeignAnswerError } from './answer.ts'
import type { ByteBudget } from '../concurrency/byte-budget.ts'
import { ParallelBody } from './parallel-body.ts'
import { type CallSettings, RequestError, type Requests, toThrown } from './requests.ts'
import { ResumableBody } from './resumable-body.ts'

/** Bytes of an object that are asked for in one request. */
export interface PieceRequest {
  readonly start: number
  /** Exclusive. Without it, to the last byte. */
  readonly end?: number | undefined
  /** Only of this version; else `CONFLICT`. */
  readonly etag?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** What the service gives of an object. */
export interface ObjectPiece {
  /** The facts of the whole object. */
  readonly info: ObjectInfo
  /**
   * Where the stream ends, exclusive: less than asked for only at the object's end, and that end
   * itself where the service gave the whole object.
   */
  readonly end: number
  readonly stream: Readable
}

/** What is read, and how. */
export interface OpenObjectOptions extends CallSettings {
  readonly range?: ByteRange | undefined
  readonly requests: Requests
  /** Sends one request, by `requests.trySend`. */
  readonly open: (request: PieceRequest) => Promise<ObjectPiece>
  /** The object's facts. Throws `NOT_FOUND`. */
  readonly head: () => Promise<ObjectInfo>
  /**
   * For parallel requests: bytes of each, which are doubled for a long object, and the memory that
   * all of them share.
   */
  readonly parallel?: { readonly partBytes: number; readonly budget: ByteBudget } | undefined
}

/** A part of an object, and how much of it may be read ahead of its reader (bytes). */
interface PartToRead {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  readonly readAhead: number | undefined
}

/** From so many parts on, fewer and larger ones cost the service less than they keep waiting. */
const MANY_PARTS = 8

/**
 * Opens an object, or a range of it, as the version that it is now. A long one comes by several
 * requests at once. Throws `NOT_FOUND`, and `USAGE` for a range that is none.
 */
export async function openObject(options: OpenObjectOptions): Promise<ObjectBody> {
  const { range, signal, what, requests, open, parallel } = options
  const { start = 0, end: wanted } = range ?? {}
  assertRange(start, wanted)
  if (wanted === start) return openEmpty(options)
  const firstEnd = parallel && Math.min(start + parallel.partBytes, wanted ?? Infinity)
  const piece = await open({ start, end: firstEnd ?? wanted, signal }).catch((error: unknown) => {
    if (error instanceof RequestError && error.failure.status === 416) return undefined
    throw toThrown(error)
  })
  // A service has no range of an empty object, or past the end of another one.
  if (piece === undefined) return openEmpty(options)
  const { info } = piece
  const end = Math.min(wanted ?? info.size, info.size)
  if (range && piece.end > end) {
    piece.stream.destroy()
    throw new S3loError('UNSUPPORTED', `${what}: the service does not give parts of objects`)
  }
  const sameVersion = new SameVersion(info, open)
  const bodyOf = (stream: Readable, { start: from, end: to, readAhead }: PartToRead) =>
    new ResumableBody(stream, {
      start: from,
      end: to,
      what,
      signal,
      requests,
      readAhead,
      openRest: async (position, restSignal) => {
        const rest = { start: position, end: to, signal: restSignal }
        return (await sameVersion.open(rest)).stream
      },
    })
  // Without memory for it, a part comes as fast as it is read.
  const firstBytes = piece.end - start
  const reserved = parallel?.budget.tryTake(firstBytes) === true ? firstBytes : 0
  const first = bodyOf(piece.stream, { start, end: piece.end, readAhead: reserved || undefined })
  if (!parallel || piece.end >= end) {
    first.once('close', () => parallel?.budget.giveBack(reserved))
    return { info, body: first }
  }
  const isLong = end - start > MANY_PARTS * parallel.partBytes
  const body = new ParallelBody(first, {
    budget: parallel.budget,
    partBytes: isLong ? 2 * parallel.partBytes : parallel.partBytes,
    reserved,
    start: piece.end,
    end,
    signal,
    openPart: async ({ readAhead, ...part }, partSignal) => {
      const { stream } = await sameVersion.open({ ...part, signal: partSignal })
      return bodyOf(stream, { ...part, readAhead })
    },
  })
  return { info, body }
}

/**
 * Opens further pieces of the version that was seen first, by a condition on its etag and by what
 * each answer says of its version: some services ignore the condition, and some proxies change etags,
 * so that it can never hold.
 */
class SameVersion {
  readonly #info: ObjectInfo
  readonly #open: OpenObjectOptions['open']
  #areConditionsTaken = true

  constructor(info: ObjectInfo, open: OpenObjectOptions['open']) {
    this.#info = info
    this.#open = open
  }

  /** Throws what the service says when it has another version by now. */
  async open(request: PieceRequest): Promise<ObjectPiece> {
    if (!this.#areConditionsTaken) return this.#compared(request)
    try {
      return await this.#compared({ ...request, etag: this.#info.etag })
    } catch (refusal) {
      if (!(refusal instanceof RequestError && refusal.failure.status === 412)) throw refusal
      const piece = await this.#compared(request).catch(() => {
        request.signal?.throwIfAborted()
        throw refusal
      })
      this.#areConditionsTaken = false
      return piece
    }
  }

  async #compared(request: PieceRequest): Promise<ObjectPiece> {
    const { etag, size } = this.#info
    const piece = await this.#open(request)
    const { info, stream } = piece
    if (info.etag === etag && info.size === size) return piece
    stream.destroy()
    throw new S3loError('CONFLICT', `${info.key} was changed by another client while it was read`)
  }
}

/**
 * The size of the object, and where the piece of it ends, by the headers of an answer. Throws
 * `UNSUPPORTED` for another range than was asked for; an answer without one is the whole object.
 */
export function placeOf(
  what: string,
  { start, end }: Pick<PieceRequest, 'start' | 'end'>,
  contentRange: string | undefined,
  contentLength: number | undefined,
): { readonly size: number; readonly end: number } {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? '') ?? []
  if (contentRange === undefined && start === 0) {
    if (contentLength !== undefined) return { size: contentLength, end: contentLength }
    throw new ForeignAnswerError('expected the length of an object, got none')
  }
  const size = Number(total)
  if (Number(first) === start) return { size, end: Math.min(end ?? size, size) }
  throw new S3loError(
    'UNSUPPORTED',
    `${what}: the service does not give the range it was asked for`,
  )
}

/** The `Range` of a piece; `undefined` for a whole object. */
export function rangeOf({ start, end }: Pick<PieceRequest, 'start' | 'end'>): string | undefined {
  if (start === 0 && end === undefined) return undefined
  return `bytes=${start}-${end === undefined ? '' : end - 1}`
}

/** An etag without its quotes, and without the mark (`W/`) that a proxy may set before it. */
export function bareEtag(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '')
}

/** An empty body of an object that is there. Throws `UNAVAILABLE` where the object has such bytes. */
async function openEmpty({ head, range, what }: OpenObjectOptions): Promise<ObjectBody> {
  const info = await head()
  const { start = 0, end = Infinity } = range ?? {}
  if (Math.min(end, info.size) > start) {
    throw new S3loError('UNAVAILABLE', `${what}: the service refuses a range that the object has`, {
      hint: 'try again later',
    })
  }
  return { info, body: Readable.from([], { objectMode: false }) }
}

function assertRange(start: number, end = start): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start) return
  throw new S3loError('USAGE', `${start}-${end} is not a range of bytes`)
}
