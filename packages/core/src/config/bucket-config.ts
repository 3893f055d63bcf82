import type { PolicyRule } from '../contract/policy-check.ts'
import { SEVERITIES } from '../contract/scanner.ts'
import { isS3loError } from '../errors.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import { parseDuration } from './duration.ts'
import { isWellFormed } from './glob.ts'
import { YamlReader, type YamlValue } from './yaml-reader.ts'

/** The largest `s3lo.yaml` that is read (bytes): the parser is slow on hostile ones. */
export const MAX_BUCKET_CONFIG_BYTES = 256 * 1024

/**
 * How `keep_last` and `max_age` decide together. `floor`: the newest stay at any age.
 * `either`: a tag that breaks one of both goes, as version 1 of the Go program had it.
 */
export type LifecycleMode = 'floor' | 'either'

/** Which tags `clean` keeps. What is absent sets no rule. */
export interface LifecycleSettings {
  /** How many of the newest tags; at least 1. */
  readonly keepLast?: number
  /** A duration that `parseDuration` reads, as it is written. */
  readonly maxAge?: string
  /** Names of tags, never empty. */
  readonly keepTags?: readonly string[]
  /** Absent is `floor`. */
  readonly mode?: LifecycleMode
}

/** What can be set for a bucket and for some of its images. */
export interface ImageSettings {
  /** Existing tags are not overwritten. */
  readonly immutable?: boolean
  readonly lifecycle?: LifecycleSettings
}

export type { PolicyRule } from '../contract/policy-check.ts'

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
      // Zero is how Go spells "not set", here and below.
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

function readSettings(yaml: YamlReader, value: YamlValue): ImageSettings {
  const members = yaml.mapping(value)
  return defined({
    immutable: readMember(members, 'immutable', (member) => yaml.flag(member)),
    lifecycle: readMember(members, 'lifecycle', (member) => readLifecycle(yaml, member)),
  })
}

/** `undefined` when nothing is set. */
function readLifecycle(yaml: YamlReader, value: YamlValue): LifecycleSettings | undefined {
  const members = yaml.mapping(value)
  const keepTags = readMember(members, 'keep_tags', (member) => readTexts(yaml, member))
  const lifecycle = defined({
    keepLast: readMember(members, 'keep_last', (member) => yaml.wholeNumber(member)) || undefined,
    maxAge: readMember(members, 'max_age', (member) => readDuration(yaml, member)) || undefined,
    keepTags: keepTags?.length ? keepTags : undefined,
    mode: readMember(members, 'mode', (member) => readMode(yaml, member)),
  })
  return Object.keys(lifecycle).length > 0 ? lifecycle : undefined
}

/** Checked here, so that a slip is found when it is made and not when a clean first needs it. */
function readDuration(yaml: YamlReader, value: YamlValue): string | undefined {
  const text = yaml.text(value)
  if (!text) return undefined
  try {
    parseDuration(text)
  } catch (error) {
    if (!isS3loError(error, 'USAGE')) throw error
    throw yaml.error(value, `is not a duration such as 90d or 12h: ${error.message}`, error)
  }
  return text
}

function readMode(yaml: YamlReader, value: YamlValue): LifecycleMode | undefined {
  const text = yaml.text(value)
  if (!text) return undefined
  if (text === 'floor' || text === 'either') return text
  throw yaml.error(value, 'is neither floor nor either')
}

function readTexts(yaml: YamlReader, value: YamlValue): readonly string[] {
  return yaml.list(value).map((entry) => yaml.text(entry) ?? '')
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
