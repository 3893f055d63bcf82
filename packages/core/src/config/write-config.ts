import type { BucketConfig, ImageSettings, PolicyRule } from './bucket-config.ts'
import type { ConfigEdit, ConfigPath } from './config-path.ts'
import type { ConfigValue } from './config-types.ts'
import { IMAGE_SETTINGS, settingIn } from './settings.ts'

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
  const { name, check, images, maxSeverity, maxDays, maxBytes, keyRef, enforce, parameters } = rule
  return {
    name,
    check,
    ...(images === undefined ? {} : { images }),
    ...(maxSeverity === undefined ? {} : { max_severity: maxSeverity }),
    ...(maxDays === undefined ? {} : { max_days: maxDays }),
    ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
    ...(keyRef === undefined ? {} : { key_ref: keyRef }),
    ...(enforce === undefined ? {} : { enforce }),
    ...parameters,
  }
}
