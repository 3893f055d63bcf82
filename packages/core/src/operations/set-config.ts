import type { BucketConfig } from '../config/bucket-config.ts'
import {
  type ConfigEdit,
  type ConfigPath,
  formatPath,
  parseSetting,
  scopePath,
  settingPath,
} from '../config/config-path.ts'
import {
  type ConfigEffect,
  configEffects,
  keepHidden,
  overrulingPattern,
} from '../config/config-effects.ts'
import {
  type ConfigEditOutcome,
  editConfig,
  readConfigDocument,
  type WriteGuard,
} from '../config/edit-config.ts'
import { hasWildcard } from '../config/glob.ts'
import { acceptSettings, lostSettings } from '../config/settings-seen.ts'
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
  /** How the write was kept from overwriting another process's. */
  readonly guard: WriteGuard
  /** Present when another process changed other keys meanwhile, which were kept. */
  readonly merged?: true
  /** Settings that a new, narrower entry would have hidden, and that it got as well. */
  readonly copied?: readonly string[]
  /** The pattern that keeps these images immutable, although this entry says `false`. */
  readonly immutable_by?: string
  /** Settings that were gone before this, not by s3lo, and count as accepted now. */
  readonly lost?: readonly string[]
  /** What else is no longer what it was for the images of this scope. */
  readonly effects?: readonly ConfigEffect[]
}

/**
 * Sets `key=value` pairs for a store (an empty `image`), an image or a glob, in one write; an empty
 * value unsets. Throws `USAGE` for what is not a setting, `CONFLICT` when another process changed one
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
  const { document } = await readConfigDocument(backend, options)
  const edited = await document.edit(edits)
  const kept = keepHidden(document.config, edited.config, image, edits)
  const outcome = await editAndAccept(backend, [...edits, ...kept], options)
  const copied = kept.map(({ path }) => nameOf(path))
  return {
    ...toResult(backend, image, outcome),
    ...(copied.length > 0 ? { copied } : {}),
    ...overruled(outcome, image),
    ...effectsOf(outcome, image, [...edits, ...kept]),
  }
}

interface AcceptedEdit extends ConfigEditOutcome {
  readonly lost: readonly string[]
}

/** An edit is made by who looks after the settings: what it leaves is what is wanted. */
async function editAndAccept(
  backend: StorageBackend,
  edits: readonly ConfigEdit[],
  options: CallOptions,
): Promise<AcceptedEdit> {
  const outcome = await editConfig(backend, edits, options)
  if (!outcome.written) return { ...outcome, lost: [] }
  const lost = await lostSettings(backend, outcome.before, { ...options, isReadOnly: true })
  await acceptSettings(backend, outcome.after, options)
  return { ...outcome, lost }
}

function overruled(
  { after }: ConfigEditOutcome,
  image: string,
): { readonly immutable_by?: string } {
  const pattern = overrulingPattern(after, image)
  return pattern === undefined ? {} : { immutable_by: pattern }
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
  const outcome = await editAndAccept(backend, [{ path }], options)
  // Of a whole scope that is removed, each value that is gone is reported.
  const asked = key === undefined ? [] : [{ path }]
  return { ...toResult(backend, image, outcome), ...effectsOf(outcome, image, asked) }
}

/**
 * What became of the settings of a scope beside what was asked for, which is to set values, or to
 * have none: a value that was removed may be another entry's now.
 */
function effectsOf(
  { before, after, written }: ConfigEditOutcome,
  image: string,
  edits: readonly ConfigEdit[],
): { readonly effects?: readonly ConfigEffect[] } {
  if (!written) return {}
  const asked = edits.map(({ path, value }) => ({
    name: nameOf(path),
    isUnset: value === undefined,
  }))
  const effects = configEffects(before, after, image).filter(({ key, after: now }) => {
    const edit = asked.find(({ name }) => name === key || key.startsWith(`${name}.`))
    return !edit || (edit.isUnset && now !== undefined)
  })
  return effects.length > 0 ? { effects } : {}
}

/** `lifecycle.keep_last` of a path in any scope. */
function nameOf([first, ...rest]: ConfigPath): string {
  if (first === 'images') return rest.slice(1).join('.')
  return first === 'default' ? rest.join('.') : [first, ...rest].join('.')
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
  { after, written, guard, merged, lost }: AcceptedEdit,
): SetConfigResult {
  return {
    ref: formatStore(backend, image),
    scope: image === '' ? 'store' : hasWildcard(image) ? 'glob' : 'image',
    changed: written,
    settings: settingsOf(after, image),
    guard,
    ...(merged ? { merged: true } : {}),
    ...(lost.length > 0 ? { lost } : {}),
  }
}

function settingsOf(config: BucketConfig, image: string): ConfigSettings {
  if (image === '') {
    const { chunked } = config
    return { ...toSettings(config.default), ...(chunked === undefined ? {} : { chunked }) }
  }
  return toSettings((Object.hasOwn(config.images, image) && config.images[image]) || {})
}
