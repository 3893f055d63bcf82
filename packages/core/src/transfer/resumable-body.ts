import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { isS3loError, S3loError } from '../errors.ts'
import { recyclable } from '../stream/recycle.ts'
import { stalled } from './failure.ts'
import { Pace } from './pace.ts'
import { type Requests, toThrown } from './requests.ts'
import { StallTimer } from './stall-timer.ts'

/** Asks for the rest of the object, from byte `start` on, as it was when the body was opened. */
export type OpenRest = (start: number, signal: AbortSignal) => Promise<Readable>

/** Where a {@link ResumableBody} starts and ends, and what errors call it. */
export interface ResumableBodyOptions {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  readonly what: string
  readonly requests: Requests
  readonly openRest: OpenRest
  readonly signal?: AbortSignal | undefined
  /** Bytes to read ahead of the consumer of the body. */
  readonly readAhead?: number | undefined
}

/**
 * The bytes of an object or of a part of it. A connection that breaks or falls silent is replaced
 * by another one that continues where it ended; only attempts that bring fewer bytes than the policy
 * takes for progress count against it.
 */
export class ResumableBody extends Readable {
  readonly #options: ResumableBodyOptions
  readonly #closing = new AbortController()
  readonly #timer: StallTimer
  readonly #pace: Pace
  #source: Readable
  #position: number
  #failures = 0

  constructor(source: Readable, options: ResumableBodyOptions) {
    super({ highWaterMark: options.readAhead })
    this.#options = options
    this.#source = source
    this.#position = options.start
    const { what, requests } = options
    const { stallMs, leastBytes } = requests.policy
    this.#pace = new Pace(leastBytes)
    this.#timer = new StallTimer(stallMs, () => {
      this.#source.destroy(asError(stalled(what, stallMs).error))
    })
    this.#stopOn(options.signal)
    this.#listen()
  }

  override _read(): void {
    // Reading on is no sign of the service: only its bytes put a stall off.
    if (!this.#timer.isArmed) {
      this.#pace.restart()
      this.#timer.arm()
    }
    this.#source.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#timer.disarm()
    this.#closing.abort()
    this.#source.destroy()
    done(error)
  }

  #listen(): void {
    const source = this.#source
    const isParsed = source instanceof IncomingMessage
    let failure: unknown
    source.on('data', (chunk: Uint8Array) => this.#take(isParsed ? recyclable(chunk) : chunk))
    source.on('error', (error) => {
      failure = error
    })
    source.once('close', () => this.#sourceEnded(failure))
    // Nothing flows before it is read.
    source.pause()
  }

  #take(chunk: Uint8Array): void {
    const isProgress = this.#pace.count(chunk.byteLength)
    if (isProgress) this.#failures = 0
    this.#position += chunk.byteLength
    // A reader that takes its time is not a service that is silent.
    if (!this.push(chunk)) this.#pause()
    else if (isProgress) this.#timer.arm()
  }

  #pause(): void {
    this.#source.pause()
    this.#timer.disarm()
  }

  #sourceEnded(error: unknown): void {
    if (this.destroyed) return
    this.#timer.disarm()
    const { end, what } = this.#options
    if (this.#position === end) {
      this.push(null)
    } else if (this.#position > end) {
      this.destroy(new S3loError('INTEGRITY', `${what} is longer than the service said`))
    } else {
      void this.#goOn(error)
    }
  }

  async #goOn(error: unknown): Promise<void> {
    try {
      await this.#reopen(error)
    } catch (failure) {
      this.destroy(asError(failure))
    }
  }

  async #reopen(error: unknown): Promise<void> {
    const { what, requests, openRest } = this.#options
    const { signal } = this.#closing
    this.#failures += 1
    // The stream ended with fewer bytes than were promised: that is a broken connection.
    const failure = { ...requests.toFailure(error, what), retryable: true }
    if (this.#failures >= requests.policy.attempts) throw unfinished(failure.error, what)
    try {
      await requests.wait(this.#failures, failure, signal)
      this.#source = await openRest(this.#position, signal)
    } catch (caught) {
      // A body that was destroyed has no reader.
      if (this.destroyed) return
      throw toThrown(caught)
    }
    if (this.destroyed) {
      this.#source.destroy()
      return
    }
    this.#listen()
    this._read()
  }

  #stopOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    const stop = (): void => void this.destroy(asError(signal.reason))
    // A body that is not read yet must not crash the process; a later reader gets the error.
    this.on('error', () => {})
    this.once('close', () => signal.removeEventListener('abort', stop))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  }
}

function unfinished(error: unknown, what: string): Error {
  if (isS3loError(error)) return error
  return new S3loError('UNAVAILABLE', `${what}: the connection broke again and again`, {
    hint: 'try again later',
    ...(error !== undefined && { cause: error }),
  })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason })
}
