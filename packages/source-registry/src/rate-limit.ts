import type { HttpHeaders } from './http.ts'

/** How many pulls a registry still allows, as Docker Hub says it. */
export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  /** How long it counts them; `undefined` when it does not say. */
  readonly windowSeconds: number | undefined
}

/** What `ratelimit-limit: 100;w=21600` and `ratelimit-remaining` say; `undefined` without both. */
export function rateLimitOf(headers: HttpHeaders): RateLimit | undefined {
  const limit = parseQuota(headers.get('ratelimit-limit'))
  const remaining = parseQuota(headers.get('ratelimit-remaining'))
  if (!limit || !remaining) return undefined
  const windowSeconds = limit.window ?? remaining.window
  return { limit: limit.count, remaining: remaining.count, windowSeconds }
}

/** A time as people say it: `40 s`, `5 min`, `6 h`; rounded up. */
export function formatWait(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} min`
  return `${Math.ceil(seconds / 3600)} h`
}

function parseQuota(
  value: string | undefined,
): { readonly count: number; readonly window: number | undefined } | undefined {
  const match = /^\s*(\d{1,9})\s*(?:;\s*w\s*=\s*(\d{1,9})\s*)?$/.exec(value ?? '')
  if (!match) return undefined
  const [, count, window] = match
  return { count: Number(count), window: window === undefined ? undefined : Number(window) }
}
