import type { S3loError } from '../errors.ts'

/** A tag as retention sees it. */
export interface DatedTag {
  readonly image: string
  readonly tag: string
  /** When it was last written: see `tagTime`. */
  readonly time: Date
  /** Layout v1.0.0 has files of it, alone or beside v1.1.0. */
  readonly legacy?: true
  /** Why its date is not known: it stays, and counts as one of the newest. */
  readonly undated?: S3loError
}

/** What a rule goes by beside the tag itself. */
export interface RuleContext {
  /** Milliseconds since 1970. */
  readonly now: number
  /** Newer tags of the image that are kept and not by name: how many places are taken. */
  readonly newerKept: number
}

/** What one rule says about one tag, and why, as a clause: `400d old, more than 90d`. */
export interface RuleVerdict {
  readonly keep: boolean
  readonly reason: string
}

/** The rules, by their names in `s3lo.yaml`. */
export type RuleName = 'keep_tags' | 'keep_last' | 'max_age'

/** A pure decision about one tag; `undefined` where the rule has none. */
export interface RetentionRule {
  readonly name: RuleName
  judge(tag: DatedTag, context: RuleContext): RuleVerdict | undefined
}
