import { setTimeout } from 'node:timers/promises'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { type ErrorCode, isS3loError, S3loError } from '../errors.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import type { Answer } from './steps.ts'

/** What writers and collectors can be told. */
export interface ParticipantOptions extends CallOptions, ProgressOptions {
  /** How long a pin or round lives (seconds, 1 to 900, default 600). One too small causes retries. */
  readonly ttlSeconds?: number | undefined
  /** How long after its expiry a pin or round is dead for others (milliseconds, default 300 000). */
  readonly marginMs?: number | undefined
  /** What this is, for those who have to wait for it: `clean`, `push or copy of app:v1`. */
  readonly who?: string | undefined
  /** Pins and rounds (their ids) whose processes have ended for certain, as an operator says. */
  readonly ended?: ReadonlySet<string> | undefined
  /** How waiting is done. */
  readonly delay?: Delay | undefined
}

/**
 * Resolves after so many milliseconds; rejects when the signal aborts. In the background it does
 * not keep the process alive.
 */
export type Delay = (ms: number, signal?: AbortSignal, isBackground?: boolean) => Promise<void>

export const DEFAULT_TTL_SECONDS = 600
export const DEFAULT_MARGIN_MS = 300_000

/** How long what a participant writes lives (seconds); `undefined` where the store enforces no deadlines. */
export async function lifeOf(
  backend: StorageBackend,
  { ttlSeconds = DEFAULT_TTL_SECONDS, signal }: Pick<ParticipantOptions, 'ttlSeconds' | 'signal'>,
): Promise<number | undefined> {
  const { deadlines } = await provenGuarantees(backend, { signal })
  return deadlines ? ttlSeconds : undefined
}

/** Waits by the clock of this machine. */
export const defaultDelay: Delay = (ms, signal, isBackground = false) =>
  setTimeout(ms, undefined, { ref: !isBackground, ...(signal && { signal }) })

/** Waits as `delay` does, so long in all (milliseconds); then throws `UNAVAILABLE` about `what`. */
export function boundedDelay(delay: Delay, maxWaitMs: number, what: string): Delay {
  let waited = 0
  return (ms, signal, isBackground) => {
    if (!isBackground) waited += ms
    if (waited <= maxWaitMs) return delay(ms, signal, isBackground)
    throw new S3loError('UNAVAILABLE', `a clean that is running may delete ${what}`, {
      hint: 'try again later: it ends by itself',
    })
  }
}

/** Refusals that a store only gives for what it did not do. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'CONFLICT',
  'FORBIDDEN',
  'UNAUTHORIZED',
  'UNSUPPORTED',
  'INVALID_REFERENCE',
])

/** What a failed request says about its effect: only a refusal is certain. */
export function answerOf(error: unknown): Answer {
  return isS3loError(error) && REFUSALS.has(error.code) ? 'refused' : 'unknown'
}
