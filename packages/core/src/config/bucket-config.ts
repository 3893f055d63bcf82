import type { PolicyRule } from '../contract/policy-rule.ts'
import { SEVERITIES } from '../contract/scanner.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import type { ImageSettings } from './config-types.ts'
import { isWellFormed } from './glob.ts'
import { nest } from './settings.ts'
import { YamlReader, type YamlValue } from './yaml-reader.ts'

/** The largest `s3lo.yaml` that is read (bytes): the parser is slow on hostile ones. */
export const MAX_BUCKET_CONFIG_BYTES = 256 * 1024

export type { PolicyRule } from '../contract/policy-rule.ts'
export type { ImageSettings, LifecycleMode, LifecycleSettings } from './config-types.ts'

/** What `s3lo.yaml` says about a bucket. */
export interface BucketConfig {
  readonly default: ImageSettings
  /** By image name or glob. */
  readonly images: Readonly<Record<string, ImageSettings>>
  readonly policies?: readonly PolicyRule[]
  /** Absent is true, for the Go program. */
  readonly chunked?: boolean
  /** The chunk format that the Go program stamped the bucket with. */
  readonly chunkFormat?: number
}

/**
 * Reads a bucket's `s3lo.yaml` (or a file of another name); an empty one sets nothing and unknown
 * keys are passed over. Throws `INTEGRITY` naming the line and the key of what is malformed, has the
 * wrong type or is no duration.
 */
export async function parseBucketConfig(
  content: Uint8Array,
  name: string = BUCKET_CONFIG_KEY,
): Promise<BucketConfig> {
  const yaml = await YamlReader.open({ name, content, limit: MAX_BUCKET_CONFIG_BYTES })
  const document = yaml.mapping(yaml.root)
  return {
    default: readMember(document, 'default', (value) => readSettings(yaml, value)) ?? {},
    images: readMember(document, 'images', (value) => readImages(yaml, value)) ?? {},
    ...defined({
      policies: readMember(document, 'policies', (value) => readPolicies(yaml, value)),
      chunked: readMember(document, 'chunked', (value) => yaml.flag(value)),
      // Zero is how Go spells "not set".
      chunkFormat:
        readMember(document, 'chunk_format', (value) => yaml.wholeNumber(value)) || undefined,
    }),
  }
}

type Members = ReadonlyMap<string, YamlValue>

function readMember<T>(
  members: Members,
  key: string,
  read: (value: YamlValue) => T | undefined,
): T | undefined {
  const value = members.get(key)
  return value && read(value)
}

function readImages(yaml: YamlReader, value: YamlValue): BucketConfig['images'] {
  // A null prototype: patterns are foreign, and `__proto__` must be one like any other.
  const images: Record<string, ImageSettings> = Object.create(null)
  for (const [pattern, settings] of yaml.mapping(value)) {
    images[pattern] = readSettings(yaml, settings)
  }
  return images
}

/** The settings of a scope, each read by its definition. */
function readSettings(yaml: YamlReader, value: YamlValue): ImageSettings {
  const blocks = new Map<string, Members>([['', yaml.mapping(value)]])
  const membersOf = (block: string): Members => {
    const known = blocks.get(block)
    if (known) return known
    const found = blocks.get('')?.get(block)
    const members: Members = found ? yaml.mapping(found) : new Map()
    blocks.set(block, members)
    return members
  }
  return nest(
    ({ path, fromYaml }) => {
      const block = path.length > 1 ? path[0] : ''
      return readMember(membersOf(block), path.at(-1) ?? '', (member) => fromYaml(yaml, member))
    },
    ({ member }) => member,
  )
}

function readPolicies(yaml: YamlReader, value: YamlValue): readonly PolicyRule[] {
  return yaml.list(value).map((entry) => readPolicy(yaml, entry))
}

/** The keys of a policy that have a meaning here; all others are parameters of its check. */
const POLICY_KEYS = new Set([
  'name',
  'check',
  'images',
  'max_severity',
  'max_days',
  'max_bytes',
  'key_ref',
])

function readPolicy(yaml: YamlReader, value: YamlValue): PolicyRule {
  const members = yaml.mapping(value)
  const text = (key: string): string | undefined =>
    readMember(members, key, (member) => yaml.text(member)) || undefined
  const number = (key: string): number | undefined =>
    readMember(members, key, (member) => yaml.wholeNumber(member))
  const check = text('check')
  if (check === undefined) throw yaml.error(value, 'names no check')
  return {
    name: text('name') ?? check,
    check,
    ...defined({
      parameters: readParameters(yaml, members),
      images: readMember(members, 'images', (member) => readPatterns(yaml, member)),
      maxSeverity: readMember(members, 'max_severity', (member) => readSeverity(yaml, member)),
      maxDays: number('max_days'),
      maxBytes: number('max_bytes'),
      keyRef: text('key_ref'),
    }),
  }
}

/** A pattern that can match nothing would let everything pass: it is refused. */
function readPatterns(yaml: YamlReader, value: YamlValue): readonly string[] {
  return yaml.list(value).map((entry) => {
    const pattern = yaml.text(entry) ?? ''
    if (pattern !== '' && isWellFormed(pattern)) return pattern
    throw yaml.error(entry, `is ${JSON.stringify(pattern)}, not the name of an image or a glob`)
  })
}

function readSeverity(yaml: YamlReader, value: YamlValue): string | undefined {
  const severity = yaml.text(value)?.toUpperCase()
  if (!severity || SEVERITIES.some((known) => known === severity)) return severity || undefined
  throw yaml.error(value, `is none of ${SEVERITIES.join(', ')}`)
}

/** A null prototype: the keys are foreign. */
function readParameters(yaml: YamlReader, members: Members): PolicyRule['parameters'] {
  const parameters: Record<string, string> = Object.create(null)
  for (const [key, value] of members) {
    const text = POLICY_KEYS.has(key) ? undefined : yaml.scalarText(value)
    if (text !== undefined) parameters[key] = text
  }
  return Object.keys(parameters).length > 0 ? parameters : undefined
}

/** The members that have a value: absent means absent. */
function defined<T extends object>(
  members: T,
): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
