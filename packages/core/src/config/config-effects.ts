import type { BucketConfig } from './bucket-config.ts'
import { type ConfigEdit, type ConfigPath, type ConfigValue, scopePath } from './config-path.ts'
import { type EffectiveConfig, effectiveSettings, matchingPattern } from './effective-config.ts'

/** The settings that an image can inherit, by their names, with where they stand in a scope. */
const INHERITED = {
  immutable: { key: 'immutable', path: ['immutable'] },
  keepLast: { key: 'lifecycle.keep_last', path: ['lifecycle', 'keep_last'] },
  maxAge: { key: 'lifecycle.max_age', path: ['lifecycle', 'max_age'] },
  keepTags: { key: 'lifecycle.keep_tags', path: ['lifecycle', 'keep_tags'] },
  mode: { key: 'lifecycle.mode', path: ['lifecycle', 'mode'] },
} as const satisfies Record<keyof EffectiveConfig, { key: string; path: readonly string[] }>

const NAMES = Object.keys(INHERITED) as readonly (keyof EffectiveConfig)[]

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
  return NAMES.flatMap((name) => {
    const [was, is] = [old[name]?.value, now[name]?.value]
    if (JSON.stringify(was) === JSON.stringify(is)) return []
    const values = {
      ...(was === undefined ? {} : { before: was }),
      ...(is === undefined ? {} : { after: is }),
    }
    return [{ key: INHERITED[name].key, ...values }]
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
  return NAMES.flatMap((name) => {
    const path: ConfigPath = [...scoped, ...INHERITED[name].path]
    const value = old[name]?.value
    const isSet = edits.some((edit) => edit.path.every((key, i) => key === path[i]))
    const isKept = JSON.stringify(value) === JSON.stringify(now[name]?.value)
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
