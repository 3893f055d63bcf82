import { setTimeout as sleep } from 'node:timers/promises'
import { type Failure, stalled } from './failure.ts'
import { Pace } from './pace.ts'
import { StallTimer } from './stall-timer.ts'

/** How often, when and for how long requests are tried. */
export interface RetryPolicy {
  /** Requests in all for one call, and for a body those without a byte of progress. */
  readonly attempts: number
  /** Milliseconds before the second attempt; doubled for each further one. */
  readonly firstDelayMs: number
  readonly longestDelayMs: number
  /** Milliseconds without progress after which an attempt is given up. */
  readonly stallMs: number
  /** Bytes of a body within `stallMs` that are progress: fewer are none. */
  readonly leastBytes: number
  /** A number from 0 to 1, which spreads the clients that wait for one busy server. */
  readonly random: () => number
  readonly delay: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 6,
  firstDelayMs: 250,
  longestDelayMs: 20_000,
  stallMs: 60_000,
  // 68 bytes a second: a modem of 2.4 kB/s still gives more to each of the 32 blobs of a copy.
  leastBytes: 4096,
  random: Math.random,
  delay: async (ms, signal) => {
    await sleep(ms, undefined, signal && { signal })
  },
}

/** What one attempt of a request gets. */
export interface Attempt {
  /** Aborted by the caller or by a stall; only valid until the attempt ends. */
  readonly signal: AbortSignal
  /** To be called when bytes have moved, which puts the stall off. */
  readonly progress: () => void
  /** To be called with the bytes of a body as they come: enough of them are progress. */
  readonly received: (bytes: number) => void
  /**
   * To be called before something slow: until the next progress, silence of `ms` milliseconds is no
   * stall, and never less than at other times; `Infinity` for what has limits of its own.
   */
  readonly expectSilence: (ms: number) => void
  /** To be called when the service has kept a part of what was sent: earlier failures no longer count. */
  readonly advanced: () => void
}

/** How a call is made. */
export interface CallSettings {
  /** Names the object in errors. */
  readonly what: string
  readonly signal?: AbortSignal | undefined
  /** Runs when an attempt has failed and another one follows. */
  readonly onRetry?: (() => void) | undefined
  /** As `onRetry`, but only when the failed attempt may have taken effect, or still may. */
  readonly onUnanswered?: (() => void) | undefined
}

/** A request that has failed for good. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly failure: Failure

  constructor(failure: Failure) {
    super('the request failed')
    this.failure = failure
  }
}

/** What a caller of the backend gets for `error`: a failed request as its s3lo error. */
export function toThrown(error: unknown): unknown {
  return error instanceof RequestError ? error.failure.error : error
}

/** Says what an error of a client library means; `what` names the object. */
export type ToFailure = (error: unknown, what: string) => Failure

/** Sends requests: the one place where attempts are counted, delayed and given up. */
export class Requests {
  readonly policy: RetryPolicy
  readonly toFailure: ToFailure

  constructor(policy: RetryPolicy, toFailure: ToFailure) {
    this.policy = policy
    this.toFailure = toFailure
  }

  /** The answer to `call`. Throws an s3lo error, or the signal's reason. */
  async send<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    try {
      return await this.trySend(settings, call)
    } catch (error) {
      throw toThrown(error)
    }
  }

  /** As {@link send}, but throws a {@link RequestError}, for a caller that has to tell failures apart. */
  async trySend<T>(settings: CallSettings, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    for (let failures = 0; ;) {
      const outcome = await this.#attempt(settings, call)
      if ('value' in outcome) return outcome.value
      const { failure, hasAdvanced } = outcome
      failures = hasAdvanced ? 1 : failures + 1
      if (!failure.retryable || failures >= this.policy.attempts) throw new RequestError(failure)
      settings.onRetry?.()
      if (!failure.turnedAway) settings.onUnanswered?.()
      await this.wait(failures, failure, settings.signal)
    }
  }

  /** Waits before the next attempt: longer each time, or as long as the service asks for. */
  async wait(failures: number, failure: Failure, signal: AbortSignal | undefined): Promise<void> {
    const { firstDelayMs, longestDelayMs, random } = this.policy
    const longest = Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - 1))
    const asked = Math.min(failure.retryAfterMs ?? 0, 2 * longestDelayMs)
    await this.pause(Math.max(asked, longest * (0.5 + random() / 2)), signal)
  }

  /** Waits for `ms`, or throws the signal's reason. */
  async pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.policy.delay(ms, signal)
    } catch (error) {
      // A timer's error says only that it was aborted; the signal knows why.
      signal?.throwIfAborted()
      throw error
    }
    signal?.throwIfAborted()
  }

  async #attempt<T>(
    { what, signal }: CallSettings,
    call: (attempt: Attempt) => Promise<T>,
  ): Promise<{ readonly value: T } | { readonly failure: Failure; readonly hasAdvanced: boolean }> {
    signal?.throwIfAborted()
    const { stallMs, leastBytes } = this.policy
    const pace = new Pace(leastBytes)
    const controller = new AbortController()
    const abort = (): void => controller.abort()
    let silentMs: number | undefined
    const timer = new StallTimer(stallMs, (ms) => {
      silentMs = ms
      abort()
    })
    let hasAdvanced = false
    let isOver = false
    // What is still on its way after the end must not leave a timer behind.
    const arm = (ms?: number): void => {
      if (!isOver) timer.arm(ms)
    }
    timer.arm()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return {
        value: await call({
          signal: controller.signal,
          progress: () => arm(),
          received: (bytes) => {
            if (pace.count(bytes)) arm()
          },
          expectSilence: (ms) => arm(Math.max(ms, stallMs)),
          advanced: () => {
            hasAdvanced = true
          },
        }),
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (silentMs !== undefined) return { failure: stalled(what, silentMs), hasAdvanced }
      return { failure: this.toFailure(error, what), hasAdvanced }
    } finally {
      isOver = true
      timer.disarm()
      signal?.removeEventListener('abort', abort)
    }
  }
}
