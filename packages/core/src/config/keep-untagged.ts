import type { BucketConfig } from './bucket-config.ts'
import { parseDuration } from './duration.ts'
import { effectiveConfig } from './effective-config.ts'
import { FOREVER } from './settings.ts'

const DEFAULT_KEEP_UNTAGGED = '14d'

/** How long a repository's untagged images stay, in milliseconds; `Infinity` for ever. */
export function keepUntaggedMs(config: BucketConfig, repository: string): number {
  const { keepUntagged } = effectiveConfig(config, repository)
  const text = keepUntagged?.value ?? DEFAULT_KEEP_UNTAGGED
  return text === FOREVER ? Infinity : parseDuration(text)
}
