/** A value as it is written to `s3lo.yaml`. */
export type ConfigValue =
  | string
  | number
  | boolean
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue }

/**
 * How `keep_last` and `max_age` decide together. `floor`: the newest stay at any age.
 * `either`: a tag that breaks one of both goes, as version 1 of the Go program had it.
 */
export type LifecycleMode = 'floor' | 'either'

/** Which tags `clean` keeps. What is absent sets no rule. */
export interface LifecycleSettings {
  /** How many of the newest tags; at least 1. */
  readonly keepLast?: number
  /** A duration that `parseDuration` reads, as it is written. */
  readonly maxAge?: string
  /** Names of tags, never empty. */
  readonly keepTags?: readonly string[]
  /** How long untagged images stay: a duration as it is written, or `forever`. Absent is 14 days. */
  readonly keepUntagged?: string
  /** Absent is `floor`. */
  readonly mode?: LifecycleMode
}

/** What can be set for a bucket and for some of its images. */
export interface ImageSettings {
  /** Existing tags are not overwritten. */
  readonly immutable?: boolean
  readonly lifecycle?: LifecycleSettings
  /** A push stores uncompressed layers compressed, large ones in chunks. */
  readonly chunked?: boolean
}
