import { formatDuration } from '../config/duration.ts'
import type { RetentionRule } from './rule.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** Drops tags that are older than `ageMs` (milliseconds) and keeps the others: one of exactly that age stays. */
export function maxAge(ageMs: number): RetentionRule {
  const limit = formatDuration(ageMs)
  return {
    name: 'max_age',
    judge: ({ time }, { now }) => {
      const age = now - time.getTime()
      return age > ageMs
        ? { keep: false, reason: `${formatAge(age)} old, more than ${limit}` }
        : { keep: true, reason: `${formatAge(age)} old, no more than ${limit}` }
    },
  }
}

/** Whole days, or whole minutes of less than a day; a tag from the future is new. */
function formatAge(age: number): string {
  const unit = age >= DAY_MS ? DAY_MS : MINUTE_MS
  return formatDuration(Math.max(0, Math.floor(age / unit) * unit))
}
