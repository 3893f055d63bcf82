import { asArray, asObject, asString, asStringMap, optional, parseStrictJson } from './json.ts'

/** What an image's config says of how a container of it runs; what it does not say is absent. */
export interface ConfigSummary {
  readonly user?: string
  readonly working_dir?: string
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `NAME=value`. */
  readonly env?: readonly string[]
  /** `80/tcp`. */
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly stop_signal?: string
}

/** How an image came to be, and how it is run. */
export interface DescribedConfig {
  /** RFC 3339, as the config has it. */
  readonly created?: string
  readonly config?: ConfigSummary
}

/** Reads what a config says for people (OCI image spec v1.1.1, "config"). Throws `INTEGRITY`. */
export function describeConfig(content: Uint8Array, name: string): DescribedConfig {
  const path = `image config ${name}`
  const image = asObject(parseStrictJson(content, path), path)
  const created = optional(image, 'created', path, asString)
  const settings = optional(image, 'config', path, asObject) ?? {}
  const at = `${path}.config`
  const text = (key: string): string | undefined => optional(settings, key, at, asString)
  const list = (key: string): readonly string[] | undefined => optional(settings, key, at, asTexts)
  const names = (key: string): readonly string[] | undefined =>
    optional(settings, key, at, (value, where) => Object.keys(asObject(value, where)).toSorted())
  const config = filled({
    user: text('User'),
    working_dir: text('WorkingDir'),
    entrypoint: list('Entrypoint'),
    cmd: list('Cmd'),
    env: list('Env'),
    ports: names('ExposedPorts'),
    volumes: names('Volumes'),
    labels: optional(settings, 'Labels', at, asStringMap),
    stop_signal: text('StopSignal'),
  })
  return {
    ...(created === undefined ? {} : { created }),
    ...(Object.keys(config).length > 0 ? { config } : {}),
  }
}

function asTexts(value: unknown, path: string): readonly string[] {
  return asArray(value, path).map((element, i) => asString(element, `${path}[${i}]`))
}

/** The members that say something. */
function filled(members: Readonly<Record<string, unknown>>): ConfigSummary {
  const said = Object.entries(members).filter(([, value]) => {
    if (value === undefined || value === '') return false
    return typeof value !== 'object' || value === null || Object.keys(value).length > 0
  })
  return Object.fromEntries(said)
}
