import { isS3loError } from '../errors.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import { parseDuration } from './duration.ts'
import { YamlReader, type YamlValue } from './yaml-reader.ts'

/** The largest `s3lo.yaml` that is read (bytes): the parser is slow on hostile ones. */
export const MAX_BUCKET_CONFIG_BYTES = 256 * 1024

/**
 * How `keep_last` and `max_age` decide together. `floor`: the newest stay whatever their age.
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

/** One of the `policies:` that an image is validated against; what each member means depends on `check`. */
export interface PolicyRule {
  /** For reports; the name of the check where none is given. */
  readonly name: string
  readonly check: string
  readonly maxSeverity?: string
  readonly maxDays?: number
  readonly maxBytes?: number
  readonly keyRef?: string
}

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
      maxSeverity: text('max_severity'),
      maxDays: number('max_days'),
      maxBytes: number('max_bytes'),
      keyRef: text('key_ref'),
    }),
  }
}

/** The members that have a value: absent means absent. */
function defined<T extends object>(
  members: T,
): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
