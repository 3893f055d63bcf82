import { matchesGlob } from '../config/glob.ts'
import type { RetentionRule } from './rule.ts'

/** Keeps tags by name or glob; they take no place of `keep_last`. Says nothing about other tags. */
export function keepTags(patterns: readonly string[]): RetentionRule {
  return {
    name: 'keep_tags',
    judge: ({ tag }) => {
      const pattern = patterns.find((candidate) => candidate === tag || matchesGlob(candidate, tag))
      if (pattern === undefined) return undefined
      return { keep: true, reason: pattern === tag ? 'named' : `matches ${pattern}` }
    },
  }
}
