import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { BucketConfig, ImageSettings, PolicyRule } from './bucket-config.ts'
import type { ConfigEdit, ConfigPath } from './config-path.ts'
import type { ConfigValue } from './config-types.ts'
import { type ConfigEditOutcome, editConfig, readConfigDocument } from './edit-config.ts'
import { IMAGE_SETTINGS, settingIn } from './settings.ts'

/** What a bucket's `s3lo.yaml` says; an empty one when there is none. Throws `INTEGRITY`. */
export async function readBucketConfig(
  backend: StorageBackend,
  options?: CallOptions,
): Promise<BucketConfig> {
  return (await readConfigDocument(backend, options)).document.config
}

/**
 * Makes a bucket's `s3lo.yaml` say exactly this, touching only what differs: comments and keys that
 * s3lo does not know are kept. Throws `CONFLICT` when another process changed the same meanwhile.
 */
export async function writeBucketConfig(
  backend: StorageBackend,
  config: BucketConfig,
  options?: CallOptions,
): Promise<ConfigEditOutcome> {
  const { document } = await readConfigDocument(backend, options)
  const wanted = valuesOf(config)
  const edits: ConfigEdit[] = []
  for (const [name, { path }] of valuesOf(document.config)) {
    if (!wanted.has(name)) edits.push({ path })
  }
  const known = valuesOf(document.config)
  for (const [name, edit] of wanted) {
    const same = JSON.stringify(known.get(name)?.value) === JSON.stringify(edit.value)
    if (!same) edits.push(edit)
  }
  return editConfig(backend, edits, options)
}

/** The path of every value that is set. */
export function settingPaths(config: BucketConfig): readonly ConfigPath[] {
  return [...valuesOf(config).values()].map(({ path }) => path)
}

/** Every value that is set, by its path. */
function valuesOf(config: BucketConfig): ReadonlyMap<string, ConfigEdit> {
  const values = new Map<string, ConfigEdit>()
  function add(path: ConfigPath, value: ConfigValue | undefined): void {
    if (value !== undefined) values.set(JSON.stringify(path), { path, value })
  }
  function addSettings(path: ConfigPath, settings: ImageSettings): void {
    for (const setting of IMAGE_SETTINGS)
      add([...path, ...setting.path], settingIn(settings, setting))
  }
  addSettings(['default'], config.default)
  for (const [pattern, settings] of Object.entries(config.images)) {
    addSettings(['images', pattern], settings)
  }
  add(['policies'], config.policies?.length ? config.policies.map(toPolicy) : undefined)
  add(['chunked'], config.chunked)
  add(['chunk_format'], config.chunkFormat)
  return values
}

/** A policy as the file has it. */
export function toPolicy(rule: PolicyRule): { readonly [key: string]: ConfigValue } {
  const { name, check, maxSeverity, maxDays, maxBytes, keyRef, images, parameters } = rule
  return {
    name,
    check,
    ...(images === undefined ? {} : { images }),
    ...(maxSeverity === undefined ? {} : { max_severity: maxSeverity }),
    ...(maxDays === undefined ? {} : { max_days: maxDays }),
    ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
    ...(keyRef === undefined ? {} : { key_ref: keyRef }),
    ...parameters,
  }
}
