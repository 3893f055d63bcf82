import { setTimeout } from 'node:timers/promises'
import { hostname } from 'node:os'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { type ErrorCode, isS3loError } from '../errors.ts'
import { type Answer, isDead } from './steps.ts'
import type { ControlObject } from './control-object.ts'

/** What writers and collectors can be told. */
export interface ParticipantOptions extends CallOptions, ProgressOptions {
  /** How long a pin or round lives (seconds, default 600). Any value is safe: one too small causes retries. */
  readonly ttlSeconds?: number | undefined
  /** How long after its expiry a pin or round is dead for others (milliseconds, default 300 000). */
  readonly marginMs?: number | undefined
  /** For people who look into the bucket. */
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

/** Waits by the clock of this machine. */
export const defaultDelay: Delay = (ms, signal, isBackground = false) =>
  setTimeout(ms, undefined, { ref: !isBackground, ...(signal && { signal }) })

/** Who writes, where nobody was told. */
export function defaultWho(role: string): string {
  return `${role} ${hostname()} ${process.pid}`
}

/** What decides about other participants' pins and rounds. */
export interface DeathRule {
  readonly marginMs: number
  readonly ended: ReadonlySet<string>
}

/** True when a pin or round is dead at a moment of the store's clock, or by an operator's word. */
export function isDeadAt(object: ControlObject, now: number, rule: DeathRule): boolean {
  return rule.ended.has(object.id) || isDead(object, now, rule.marginMs)
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
