import type { RetentionRule } from './rule.ts'

/** Keeps the newest tags of an image, as many as `count`, and drops the others. */
export function keepLast(count: number): RetentionRule {
  return {
    name: 'keep_last',
    judge: (_tag, { newerKept }) =>
      newerKept < count
        ? { keep: true, reason: `number ${newerKept + 1} of the newest ${count}` }
        : { keep: false, reason: `not among the newest ${count}` },
  }
}
