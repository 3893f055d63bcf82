import { S3loError } from '../errors.ts'
import { parseDuration } from './duration.ts'
import { isWellFormed } from './glob.ts'

/** The keys that lead to a value in `s3lo.yaml`, from the outermost in. */
export type ConfigPath = readonly [string, ...string[]]

/** A value as it is written to `s3lo.yaml`. */
export type ConfigValue =
  | string
  | number
  | boolean
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue }

/** One change of a document: without a value, the key is removed. */
export interface ConfigEdit {
  readonly path: ConfigPath
  readonly value?: ConfigValue | undefined
}

/** What settings can be set by name, and how a text becomes each one's value; `undefined` unsets it. */
const READERS: Readonly<Record<string, (text: string) => ConfigValue | undefined>> = {
  immutable: readFlag,
  'lifecycle.keep_last': readCount,
  'lifecycle.max_age': readDuration,
  'lifecycle.keep_tags': readTags,
  'lifecycle.mode': readMode,
  chunked: readFlag,
}

/** Keys that stand at the top of the file and not below an image. */
const STORE_KEYS: ReadonlySet<string> = new Set(['chunked'])

/** The settings that {@link parseSetting} knows, in the order in which they are shown. */
const SETTING_KEYS: readonly string[] = Object.keys(READERS)

/**
 * Reads `key=value` of a scope: empty for the store's defaults, else an image name or a glob. An
 * empty value unsets the key, and `lifecycle=` all of that block. Throws `USAGE`.
 */
export function parseSetting(scope: string, text: string): ConfigEdit {
  const equals = text.indexOf('=')
  if (equals < 0) {
    throw new S3loError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not key=value`, {
      hint: `for example immutable=true; the keys are ${SETTING_KEYS.join(', ')}`,
    })
  }
  const key = text.slice(0, equals).trim()
  const value = text.slice(equals + 1).trim()
  const path = settingPath(scope, key)
  if (value === '') return { path }
  const read = Object.hasOwn(READERS, key) ? READERS[key] : undefined
  if (!read) throw unknownKey(key)
  return { path, value: atKey(key, value, read) }
}

/** Where a setting of a scope stands in the file. Throws `USAGE` for a key that can not be set there. */
export function settingPath(scope: string, key: string): ConfigPath {
  if (key !== 'lifecycle' && !SETTING_KEYS.includes(key)) throw unknownKey(key)
  const keys = key.split('.')
  if (!STORE_KEYS.has(key)) return [...scopePath(scope), ...keys]
  if (scope === '') return [key]
  throw new S3loError('USAGE', `${key} is a setting of the whole store, not of image ${scope}`, {
    hint: `name the store alone: s3lo config set s3://bucket/ ${key}=…`,
  })
}

/** Where everything of a scope stands. Throws `USAGE` for what no image can match. */
export function scopePath(scope: string): ConfigPath {
  if (scope === '') return ['default']
  if (!isWellFormed(scope)) {
    throw new S3loError('USAGE', `${JSON.stringify(scope)} is not a pattern that can match`, {
      hint: 'close every [, and escape a literal [, * or ? with a backslash',
    })
  }
  if (scope.includes(':') || scope.includes('@')) {
    throw new S3loError('USAGE', `${scope} names a tag or digest: settings are those of an image`, {
      hint: `name the image alone: ${scope.split(/[:@]/, 1)[0]}`,
    })
  }
  return ['images', scope]
}

/** A path for messages: `lifecycle.max_age of dev/*`. */
export function formatPath([first, ...rest]: ConfigPath): string {
  if (first === 'default') return rest.length > 0 ? rest.join('.') : 'the defaults'
  if (first !== 'images') return [first, ...rest].join('.')
  const [scope = '', ...keys] = rest
  if (scope === '') return 'the settings of images'
  return keys.length > 0 ? `${keys.join('.')} of ${scope}` : `the settings of ${scope}`
}

function atKey(
  key: string,
  text: string,
  read: (text: string) => ConfigValue | undefined,
): ConfigValue | undefined {
  try {
    return read(text)
  } catch (error) {
    if (!(error instanceof S3loError)) throw error
    throw new S3loError('USAGE', `${key}: ${error.message}`, { hint: error.hint, cause: error })
  }
}

function unknownKey(key: string): S3loError {
  return new S3loError('USAGE', `${JSON.stringify(key.slice(0, 80))} is not a setting`, {
    hint: `the settings are ${SETTING_KEYS.join(', ')}`,
  })
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
