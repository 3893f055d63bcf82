import { S3loError } from '../errors.ts'
import type { ConfigValue } from './config-types.ts'
import { isWellFormed } from './glob.ts'
import { BLOCKS, SETTINGS } from './settings.ts'

/** The keys that lead to a value in `s3lo.yaml`, from the outermost in. */
export type ConfigPath = readonly [string, ...string[]]

/** One change of a document: without a value, the key is removed. */
export interface ConfigEdit {
  readonly path: ConfigPath
  readonly value?: ConfigValue | undefined
}

const SETTING_KEYS: readonly string[] = Object.keys(SETTINGS)

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
  const setting = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : undefined
  if (!setting) throw unknownKey(key)
  return { path, value: atKey(key, value, setting.fromText) }
}

/** Where a setting of a scope stands in the file. Throws `USAGE` for what is no setting. */
export function settingPath(scope: string, key: string): ConfigPath {
  if (!BLOCKS.has(key) && !SETTING_KEYS.includes(key)) throw unknownKey(key)
  if (scope === '' && SETTINGS[key]?.isAtTop) return [key]
  return [...scopePath(scope), ...key.split('.')]
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
