import type { BucketConfig, ImageSettings, LifecycleMode } from '../config/bucket-config.ts'
import type { ConfigDocument } from '../config/config-document.ts'
import type { ConfigValue } from '../config/config-types.ts'
import { IMAGE_SETTINGS, nest, settingIn } from '../config/settings.ts'
import { assertStoreOf, readConfigDocument } from '../config/edit-config.ts'
import {
  effectiveSettings,
  matchingPattern,
  type SettingSource,
} from '../config/effective-config.ts'
import { hasWildcard } from '../config/glob.ts'
import { toPolicy } from '../config/write-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { formatStore } from '../layout/format-store.ts'

/** Rules of retention; field names are those of the file and of `--output json`. */
export interface LifecycleFields {
  readonly keep_last?: number
  readonly max_age?: string
  readonly keep_tags?: readonly string[]
  readonly keep_untagged?: string
  readonly mode?: LifecycleMode
}

/** Settings of one scope; field names are those of the file and of `--output json`. */
export interface ConfigSettings {
  readonly immutable?: boolean
  readonly lifecycle?: LifecycleFields
  readonly chunked?: boolean
}

/** Everything that a store's file sets. */
export interface StoreConfigResult {
  readonly default: ConfigSettings
  readonly images?: Readonly<Record<string, ConfigSettings>>
  readonly policies?: readonly { readonly [key: string]: ConfigValue }[]
  readonly chunked?: boolean
  readonly chunk_format?: number
}

/** What holds for one image, or for the images of one glob. */
export interface ImageConfigResult {
  readonly ref: string
  readonly immutable?: boolean
  readonly lifecycle?: LifecycleFields
  /** The key under `images:` that applies; absent when none does. */
  readonly pattern?: string
  /** Where each value is set: `default` or that key, by the name of the setting. */
  readonly sources: Readonly<Record<string, string>>
}

/** What a store's file sets, or what holds for an image or glob in it. */
export type Config =
  | { readonly of: 'store'; readonly settings: StoreConfigResult }
  | { readonly of: 'image'; readonly image: string; readonly settings: ImageConfigResult }

/**
 * The settings of a store (`image` is empty), or those that hold for an image or glob. Throws
 * `INTEGRITY` when the file is not valid, and `NOT_FOUND` without a store.
 */
export async function getConfig(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): Promise<Config> {
  if (image === '') return { of: 'store', settings: await getStoreConfig(backend, options) }
  return { of: 'image', image, settings: await getImageConfig(backend, image, options) }
}

/**
 * What a store's `s3lo.yaml` sets, of every scope. Throws `INTEGRITY` when it is not valid, and
 * `NOT_FOUND` without a store.
 */
export async function getStoreConfig(
  backend: StorageBackend,
  options?: CallOptions,
): Promise<StoreConfigResult> {
  const document = await readOfStore(backend, options)
  const { default: defaults, images, policies, chunked, chunkFormat } = document.config
  const entries = Object.entries(images).map(([key, value]) => [key, toSettings(value)] as const)
  return {
    default: toSettings(defaults),
    ...(entries.length > 0 ? { images: toRecord(entries) } : {}),
    ...(policies?.length ? { policies: policies.map(toPolicy) } : {}),
    ...(chunked === undefined ? {} : { chunked }),
    ...(chunkFormat === undefined ? {} : { chunk_format: chunkFormat }),
  }
}

/**
 * What holds for an image, each value with its source. For a glob: what holds for the images that
 * take their settings from that very key. Throws `INTEGRITY` when the file is not valid, and
 * `NOT_FOUND` without a store.
 */
export async function getImageConfig(
  backend: StorageBackend,
  image: string,
  options?: CallOptions,
): Promise<ImageConfigResult> {
  const { config } = await readOfStore(backend, options)
  const pattern = patternOf(config, image)
  const effective = effectiveSettings(config, image, pattern)
  const settings: ConfigSettings = nest(
    ({ member }) => effective[member]?.value,
    ({ path }) => path.at(-1) ?? '',
  )
  const sources = IMAGE_SETTINGS.flatMap(({ key, member }) => {
    const setting = effective[member]
    return setting ? [[key, formatSource(setting.source)] as const] : []
  })
  return {
    ref: formatStore(backend, image),
    ...settings,
    ...(pattern === undefined ? {} : { pattern }),
    sources: Object.fromEntries(sources),
  }
}

/** A store that is not there sets nothing either, but is hardly what the caller meant. */
async function readOfStore(
  backend: StorageBackend,
  options?: CallOptions,
): Promise<ConfigDocument> {
  const stored = await readConfigDocument(backend, options)
  await assertStoreOf(stored, backend, options)
  return stored.document
}

/** Settings as the file and `--output json` have them; what is not set is absent. */
export function toSettings(settings: ImageSettings): ConfigSettings {
  return nest(
    (setting) => settingIn(settings, setting),
    ({ path }) => path.at(-1) ?? '',
  )
}

function patternOf(config: BucketConfig, image: string): string | undefined {
  if (!hasWildcard(image)) return matchingPattern(config, image)
  return Object.hasOwn(config.images, image) ? image : undefined
}

function formatSource(source: SettingSource): string {
  return source.kind === 'default' ? 'default' : `images[${JSON.stringify(source.pattern)}]`
}

/** With a null prototype: patterns are foreign, and `__proto__` must be one like any other. */
function toRecord<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  const record: Record<string, T> = Object.create(null)
  for (const [key, value] of entries) record[key] = value
  return record
}
