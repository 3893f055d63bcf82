import { isS3loError, S3loError } from '../errors.ts'
import type { ConfigValue, ImageSettings, LifecycleSettings } from './config-types.ts'
import { parseDuration } from './duration.ts'
import { isWellFormed } from './glob.ts'
import type { YamlReader, YamlValue } from './yaml-reader.ts'

/** The value of `lifecycle.keep_untagged` with which no untagged image ever expires. */
export const FOREVER = 'forever'

/** A setting of `s3lo.yaml`, by its key, such as `lifecycle.keep_last`. */
export interface SettingDefinition {
  /** What the setting is called in the code, in its block. */
  readonly member: keyof ImageSettings | keyof LifecycleSettings
  /** The value of the whole store is at the top of the file and not among the defaults: the Go program reads it there. */
  readonly isAtTop?: true
  /** Reads the text of `key=value`; `undefined` unsets. Throws `USAGE`. */
  readonly fromText: (text: string) => ConfigValue | undefined
  /** Reads the value in the file; `undefined` where it sets nothing. Throws `INTEGRITY`. */
  readonly fromYaml: (yaml: YamlReader, value: YamlValue) => ConfigValue | undefined
  readonly help: string
}

/**
 * Every setting that can be set by name, in the order in which they are shown. What parses, writes,
 * explains and documents settings reads this table.
 */
export const SETTINGS: Readonly<Record<string, SettingDefinition>> = {
  immutable: {
    member: 'immutable',
    fromText: readFlag,
    fromYaml: (yaml, value) => yaml.flag(value),
    help: 'true: tags of the image are not overwritten or deleted without --force',
  },
  'lifecycle.keep_last': {
    member: 'keepLast',
    fromText: readCount,
    // Zero is how Go spells "not set".
    fromYaml: (yaml, value) => yaml.wholeNumber(value) || undefined,
    help: 'how many of the newest tags clean keeps, at any age',
  },
  'lifecycle.max_age': {
    member: 'maxAge',
    fromText: readDuration,
    fromYaml: (yaml, value) => checked(yaml, value, readDuration),
    help: 'clean removes tags that are older: 90d, 36h, 1h30m',
  },
  'lifecycle.keep_tags': {
    member: 'keepTags',
    fromText: readTags,
    fromYaml: tagsOf,
    help: 'names and globs of tags that are always kept, with commas: latest,v*',
  },
  'lifecycle.keep_untagged': {
    member: 'keepUntagged',
    fromText: readKeepUntagged,
    fromYaml: (yaml, value) => checked(yaml, value, readKeepUntagged),
    help: 'how long an image stays pullable by its digest after its last tag moved or was deleted (default 14d): 30d, 36h, 0, forever',
  },
  'lifecycle.mode': {
    member: 'mode',
    fromText: readMode,
    fromYaml: modeOf,
    help: 'floor (default): keep_last protects from max_age; either: a tag that breaks one of the rules goes',
  },
  chunked: {
    member: 'chunked',
    isAtTop: true,
    fromText: readFlag,
    fromYaml: (yaml, value) => yaml.flag(value),
    help: 'true (default in a store that s3lo began): a push stores uncompressed layers compressed, large ones in chunks, which the Go program does not read; false (default elsewhere): as they are',
  },
}

/** A setting of images, with where it stands in a scope of the file. */
export interface ImageSetting extends SettingDefinition {
  readonly key: string
  /** `['lifecycle', 'keep_last']`. */
  readonly path: readonly [string, ...string[]]
  readonly member: Exclude<SettingDefinition['member'], 'lifecycle'>
}

/** The settings of the defaults, of images and of globs. */
export const IMAGE_SETTINGS: readonly ImageSetting[] = Object.entries(SETTINGS).map(
  ([key, definition]) => ({ ...definition, key, path: key.split('.') }) as unknown as ImageSetting,
)

/** The keys that hold other settings: `lifecycle`. */
export const BLOCKS: ReadonlySet<string> = new Set(
  IMAGE_SETTINGS.flatMap(({ path }) => (path.length > 1 ? [path[0]] : [])),
)

/** The value of a setting in a scope; `undefined` where it is not set. */
export function settingIn(
  settings: ImageSettings,
  { path, member }: ImageSetting,
): ConfigValue | undefined {
  const block = path.length > 1 ? (settings.lifecycle ?? {}) : settings
  const value = (block as Readonly<Record<string, ConfigValue | undefined>>)[member]
  return isUnset(value) ? undefined : value
}

/** Members nested by `names`, such as keys of the file; absent where nothing is set. */
export function nest(
  valueOf: (setting: ImageSetting) => ConfigValue | undefined,
  nameOf: (setting: ImageSetting) => string,
): Readonly<Record<string, ConfigValue>> {
  const nested: Record<string, ConfigValue> = {}
  const blocks: Record<string, Record<string, ConfigValue>> = {}
  for (const setting of IMAGE_SETTINGS) {
    const value = valueOf(setting)
    if (value === undefined) continue
    const [first] = setting.path
    if (setting.path.length === 1) nested[nameOf(setting)] = value
    else nested[first] = Object.assign((blocks[first] ??= {}), { [nameOf(setting)]: value })
  }
  return nested
}

/** Zero, an empty text and an empty list are how Go spells "not set". */
function isUnset(value: ConfigValue | undefined): boolean {
  return (
    value === undefined ||
    value === 0 ||
    value === '' ||
    (Array.isArray(value) && value.length === 0)
  )
}

/** The spellings of Go's ParseBool. */
function readFlag(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false
  throw new S3loError('USAGE', `${shown(text)} is neither true nor false`)
}

/** Zero is how Go spells "not set". */
function readCount(text: string): number | undefined {
  const count = /^\+?[0-9]{1,15}$/.test(text) ? Number(text) : undefined
  if (count === undefined || !Number.isSafeInteger(count)) {
    throw new S3loError('USAGE', `${shown(text)} is not a whole number of 0 or more`)
  }
  return count === 0 ? undefined : count
}

function readDuration(text: string): string {
  parseDuration(text)
  return text
}

function readKeepUntagged(text: string): string {
  if (text === FOREVER || parseDuration(text) >= 0) return text
  throw new S3loError('USAGE', `${shown(text)} is less than nothing`)
}

function readTags(text: string): readonly string[] | undefined {
  const tags = text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  const malformed = tags.find((tag) => !isWellFormed(tag) || /[\p{Cc}/]/u.test(tag))
  if (malformed !== undefined) throw new S3loError('USAGE', `${shown(malformed)} matches no tag`)
  return tags.length > 0 ? tags : undefined
}

function readMode(text: string): string {
  if (text === 'floor' || text === 'either') return text
  throw new S3loError('USAGE', `${shown(text)} is neither floor nor either`)
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

/** Checked here, so that a slip is found when it is made and not when a clean first needs it. */
function checked(
  yaml: YamlReader,
  value: YamlValue,
  read: (text: string) => string,
): string | undefined {
  const text = yaml.text(value)
  if (!text) return undefined
  try {
    return read(text)
  } catch (error) {
    if (!isS3loError(error, 'USAGE')) throw error
    throw yaml.error(value, `is not a duration such as 90d or 12h: ${error.message}`, error)
  }
}

function modeOf(yaml: YamlReader, value: YamlValue): string | undefined {
  const text = yaml.text(value)
  if (!text) return undefined
  if (text === 'floor' || text === 'either') return text
  throw yaml.error(value, 'is neither floor nor either')
}

function tagsOf(yaml: YamlReader, value: YamlValue): readonly string[] | undefined {
  const tags = yaml.list(value).map((entry) => yaml.text(entry) ?? '')
  return tags.length > 0 ? tags : undefined
}
