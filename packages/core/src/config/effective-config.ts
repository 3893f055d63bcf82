import type { BucketConfig, ImageSettings, LifecycleMode } from './bucket-config.ts'
import { hasWildcard, matchesGlob } from './glob.ts'
import { IMAGE_SETTINGS, settingIn } from './settings.ts'

/** Where a value was set. */
export type SettingSource =
  | { readonly kind: 'default' }
  /** A key under `images:`. */
  | { readonly kind: 'image'; readonly pattern: string }

/** A value and where it was set. */
interface Setting<T> {
  readonly value: T
  readonly source: SettingSource
}

/** What holds for one image. What is absent is set nowhere. */
export interface EffectiveConfig {
  readonly immutable?: Setting<boolean>
  readonly keepLast?: Setting<number>
  readonly maxAge?: Setting<string>
  readonly keepTags?: Setting<readonly string[]>
  readonly keepUntagged?: Setting<string>
  readonly mode?: Setting<LifecycleMode>
  readonly chunked?: Setting<boolean>
}

/**
 * What a bucket's configuration says about an image: the defaults, and over them, value by value,
 * those of the one pattern that {@link matchingPattern} finds. `immutable: true` alone is inherited:
 * that of any pattern that matches holds, unless the entry of the image's own name says otherwise.
 */
export function effectiveConfig(config: BucketConfig, image: string): EffectiveConfig {
  return effectiveSettings(config, image, matchingPattern(config, image))
}

/**
 * What holds for the images that take their settings from a key under `images:`, or from none; as
 * far as patterns match `image`, which may be that key.
 */
export function effectiveSettings(
  config: BucketConfig,
  image: string,
  pattern: string | undefined,
): EffectiveConfig {
  const defaults = settingsFrom(defaultsOf(config), { kind: 'default' })
  const immutable = inheritedImmutability(config, image)
  const inherited = immutable ? { immutable } : {}
  if (pattern === undefined || !Object.hasOwn(config.images, pattern)) {
    return { ...defaults, ...inherited }
  }
  const settings = config.images[pattern] ?? {}
  return { ...defaults, ...settingsFrom(settings, { kind: 'image', pattern }), ...inherited }
}

function defaultsOf({ default: defaults, chunked }: BucketConfig): ImageSettings {
  return chunked === undefined ? defaults : { ...defaults, chunked }
}

/** The protection that an image cannot lose to a narrower pattern; `undefined` where there is none. */
function inheritedImmutability(config: BucketConfig, image: string): Setting<true> | undefined {
  const isNamed = !hasWildcard(image) && Object.hasOwn(config.images, image)
  if (isNamed && config.images[image]?.immutable !== undefined) return undefined
  const patterns = Object.keys(config.images).filter(
    (pattern) => config.images[pattern]?.immutable === true && matchesGlob(pattern, image),
  )
  const [pattern] = patterns.toSorted(comparePatterns)
  return pattern === undefined ? undefined : { value: true, source: { kind: 'image', pattern } }
}

/** True when existing tags of an image must not be overwritten. */
export function isImmutable(config: BucketConfig, image: string): boolean {
  return effectiveConfig(config, image).immutable?.value ?? false
}

/** What is set about chunks for an image, or for the whole store where none is named. */
export function chunkedSetting(config: BucketConfig, image?: string): boolean | undefined {
  return image === undefined ? config.chunked : effectiveConfig(config, image).chunked?.value
}

/**
 * The pattern under `images:` that an image takes its settings from: a name before a glob, then the
 * longest, then the first by name. The order in the file does not count.
 */
export function matchingPattern(config: BucketConfig, image: string): string | undefined {
  let best: string | undefined
  for (const pattern of Object.keys(config.images)) {
    if (best !== undefined && comparePatterns(best, pattern) <= 0) continue
    if (matchesGlob(pattern, image)) best = pattern
  }
  return best
}

function comparePatterns(a: string, b: string): number {
  return (
    Number(hasWildcard(a)) - Number(hasWildcard(b)) ||
    Buffer.byteLength(b) - Buffer.byteLength(a) ||
    (a < b ? -1 : Number(a > b))
  )
}

/** Only what is set: an override cannot take a default back to zero or empty. */
function settingsFrom(settings: ImageSettings, source: SettingSource): EffectiveConfig {
  const found = IMAGE_SETTINGS.flatMap((setting) => {
    const value = settingIn(settings, setting)
    return value === undefined ? [] : [[setting.member, { value, source }] as const]
  })
  return Object.fromEntries(found)
}
