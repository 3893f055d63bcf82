import type { BucketConfig } from '../config/bucket-config.ts'
import {
  type ConfigEdit,
  type ConfigPath,
  formatPath,
  parseSetting,
  scopePath,
  settingPath,
} from '../config/config-path.ts'
import { type ConfigEditOutcome, editConfig, type WriteGuard } from '../config/edit-config.ts'
import { hasWildcard } from '../config/glob.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { formatStore } from '../layout/format-store.ts'
import { type ConfigSettings, toSettings } from './get-config.ts'

/** What a change of the configuration came to; field names are those of `--output json`. */
export interface SetConfigResult {
  readonly ref: string
  readonly scope: 'store' | 'image' | 'glob'
  /** False when it said so already; nothing was written then. */
  readonly changed: boolean
  /** What is now set at this scope itself, without what it inherits. */
  readonly settings: ConfigSettings
  /** How the write was kept from overwriting somebody else's. */
  readonly guard: WriteGuard
  /** Present when somebody else changed other keys meanwhile, which were kept. */
  readonly merged?: true
}

/**
 * Sets `key=value` pairs for a store (an empty `image`), an image or a glob, in one write; an empty
 * value unsets. Throws `USAGE` for what is not a setting, `CONFLICT` when somebody else changed one
 * of the same keys meanwhile, `INTEGRITY` when the file is not valid.
 */
export async function setConfig(
  backend: StorageBackend,
  image: string,
  settings: readonly string[],
  options: CallOptions = {},
): Promise<SetConfigResult> {
  if (settings.length === 0) {
    throw new S3loError('USAGE', 'there is nothing to set', { hint: 'name at least one key=value' })
  }
  const edits = settings.map((setting) => parseSetting(image, setting))
  assertDistinct(edits)
  return toResult(backend, image, await editConfig(backend, edits, options))
}

/**
 * Removes one setting (or `lifecycle`, all of that block) of a store, an image or a glob, or all of
 * them. Throws as {@link setConfig}.
 */
export async function removeConfig(
  backend: StorageBackend,
  image: string,
  key: string | undefined,
  options: CallOptions = {},
): Promise<SetConfigResult> {
  const path = key === undefined ? scopePath(image) : settingPath(image, key)
  return toResult(backend, image, await editConfig(backend, [{ path }], options))
}

/** Of two values for one key neither can be what was meant. */
function assertDistinct(edits: readonly ConfigEdit[]): void {
  for (const [i, { path }] of edits.entries()) {
    if (!edits.slice(0, i).some((earlier) => overlaps(earlier.path, path))) continue
    throw new S3loError('USAGE', `${formatPath(path)} is named twice`)
  }
}

function overlaps(a: ConfigPath, b: ConfigPath): boolean {
  return a.every((key, i) => i >= b.length || key === b[i])
}

function toResult(
  backend: StorageBackend,
  image: string,
  { after, written, guard, merged }: ConfigEditOutcome,
): SetConfigResult {
  return {
    ref: formatStore(backend, image),
    scope: image === '' ? 'store' : hasWildcard(image) ? 'glob' : 'image',
    changed: written,
    settings: settingsOf(after, image),
    guard,
    ...(merged ? { merged: true } : {}),
  }
}

function settingsOf(config: BucketConfig, image: string): ConfigSettings {
  if (image === '') {
    const { chunked } = config
    return { ...toSettings(config.default), ...(chunked === undefined ? {} : { chunked }) }
  }
  return toSettings((Object.hasOwn(config.images, image) && config.images[image]) || {})
}
