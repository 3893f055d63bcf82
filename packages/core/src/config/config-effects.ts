import type { BucketConfig } from './bucket-config.ts'
import { type ConfigEdit, type ConfigPath, scopePath } from './config-path.ts'
import type { ConfigValue } from './config-types.ts'
import { type EffectiveConfig, effectiveSettings, matchingPattern } from './effective-config.ts'
import { IMAGE_SETTINGS } from './settings.ts'

/** A setting that is no longer what it was for the images of a scope. */
export interface ConfigEffect {
  /** Such as `lifecycle.keep_last`. */
  readonly key: string
  /** Absent: not set. */
  readonly before?: ConfigValue
  readonly after?: ConfigValue
}

/** What the images of a scope (an image, a glob, or empty for those without settings of their own) lose or get. */
export function configEffects(
  before: BucketConfig,
  after: BucketConfig,
  scope: string,
): readonly ConfigEffect[] {
  const [old, now] = [settingsOf(before, scope), settingsOf(after, scope)]
  return IMAGE_SETTINGS.flatMap(({ key, member }) => {
    const [was, is] = [old[member]?.value, now[member]?.value]
    if (JSON.stringify(was) === JSON.stringify(is)) return []
    const values = {
      ...(was === undefined ? {} : { before: was }),
      ...(is === undefined ? {} : { after: is }),
    }
    return [{ key, ...values }]
  })
}

/**
 * The edits that keep what the images of a scope have now and what `edits` do not set: an image takes
 * its settings from one entry alone, so that a new entry hides the one that it had them from.
 */
export function keepHidden(
  before: BucketConfig,
  after: BucketConfig,
  scope: string,
  edits: readonly ConfigEdit[],
): readonly ConfigEdit[] {
  if (scope === '' || Object.hasOwn(before.images, scope)) return []
  const scoped = scopePath(scope)
  const [old, now] = [settingsOf(before, scope), settingsOf(after, scope)]
  return IMAGE_SETTINGS.flatMap((setting) => {
    const path: ConfigPath = [...scoped, ...setting.path]
    const value = old[setting.member]?.value
    const isSet = edits.some((edit) => edit.path.every((key, i) => key === path[i]))
    const isKept = JSON.stringify(value) === JSON.stringify(now[setting.member]?.value)
    return isSet || isKept || value === undefined ? [] : [{ path, value }]
  })
}

/** Of a glob: of the images that no other entry but those that cover all of it is about. */
function settingsOf(config: BucketConfig, scope: string): EffectiveConfig {
  if (scope === '') return effectiveSettings({ ...config, images: {} }, '', undefined)
  return effectiveSettings(config, scope, matchingPattern(config, scope))
}

/** The pattern by which the images of a glob stay immutable although its entry says that they are not. */
export function overrulingPattern(config: BucketConfig, scope: string): string | undefined {
  if (scope === '' || !Object.hasOwn(config.images, scope)) return undefined
  if (config.images[scope]?.immutable !== false) return undefined
  const { immutable } = settingsOf(config, scope)
  return immutable?.value && immutable.source.kind === 'image'
    ? immutable.source.pattern
    : undefined
}
