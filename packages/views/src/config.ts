import type {
  Config,
  ConfigSettings,
  ImageConfigResult,
  SetConfigResult,
  StoreConfigResult,
} from '@s3lo/core'
import { escapeText } from './text.ts'
import { padEnd } from './width.ts'

const KEY_WIDTH = 30

/** A setting by its name, as text. */
type Field = readonly [key: string, value: string]

/** The settings of a store, or what holds for an image or glob. */
export function renderConfig(reference: string, config: Config): string {
  return config.of === 'store'
    ? renderStoreConfig(reference, config.settings)
    : renderImageConfig(config.image, config.settings)
}

/** Everything that a store sets, scope by scope. */
function renderStoreConfig(store: string, result: StoreConfigResult): string {
  const { default: defaults, images = {}, policies = [], chunked, chunk_format } = result
  const patterns = Object.entries(images)
  const own: Field[] = [
    ...(chunked === undefined ? [] : [['chunked', String(chunked)] as const]),
    ...(chunk_format === undefined ? [] : [['chunk_format', String(chunk_format)] as const]),
  ]
  const lines = [
    `Bucket: ${escapeText(store)}`,
    'Default:',
    ...orNone([...fieldsOf(defaults), ...own], '  '),
    ...(patterns.length > 0 ? ['Images:'] : []),
    ...patterns.flatMap(([pattern, settings]) => [
      `  ${escapeText(pattern)}:`,
      ...orNone(fieldsOf(settings), '    '),
    ]),
    ...(policies.length > 0 ? ['Policies:'] : []),
    ...policies.map(({ name, check }) => `  ${toText(name)} (${toText(check)})`),
  ]
  return `${lines.join('\n')}\n`
}

/** What holds for an image or glob, each value with where it comes from. */
function renderImageConfig(image: string, result: ImageConfigResult): string {
  const { ref, pattern, sources, ...settings } = result
  const sourceOf = (key: string): string => {
    if (sources[key] === 'default') return 'default'
    return pattern === image ? 'image' : `glob ${pattern}`
  }
  const fields = fieldsOf(settings).map(
    ([key, value]) => [key, `${value} [${sourceOf(key)}]`] as const,
  )
  const title = `Image: ${escapeText(image)} (${escapeText(ref)})`
  return `${[title, ...orNone(fields, '  ')].join('\n')}\n`
}

/** What is worth knowing about how a change was written. */
export function describeWrite(result: SetConfigResult): readonly string[] {
  const {
    ref,
    changed,
    guard,
    merged,
    copied = [],
    effects = [],
    lost = [],
    immutable_by: by,
  } = result
  const notes: string[] = []
  if (lost.length > 0) {
    notes.push(`note: gone before this, perhaps by another program: ${lost.map(toText).join(', ')}`)
  }
  if (by !== undefined) {
    notes.push(
      `note: ${escapeText(by)} keeps these images immutable: only an entry of an image's own name can say otherwise`,
    )
  }
  if (copied.length > 0) {
    notes.push(
      `note: an image takes its settings from one entry, so ${copied.join(', ')} of the entry that held before were copied to ${ref}`,
    )
  }
  for (const { key, before, after } of effects) {
    const was = before === undefined ? 'not set' : toText(before)
    const is = after === undefined ? 'not set' : toText(after)
    notes.push(`note: ${key} is now ${is} for ${ref}, and was ${was}`)
  }
  if (merged) notes.push('note: another process changed other settings meanwhile; both are kept')
  if (changed && guard === 'check-write-read-back') {
    notes.push(
      'note: this store cannot refuse an edit that is overtaken by another; it was read back after the write',
    )
  }
  return notes
}

/** Settings by key, those of a block with its name before: `lifecycle.keep_last`. */
function fieldsOf(settings: ConfigSettings): readonly Field[] {
  return Object.entries(settings).flatMap(([key, value]) => {
    if (!isBlock(value)) return [[key, textOf(value)] as const]
    return Object.entries(value).map(([name, each]) => [`${key}.${name}`, textOf(each)] as const)
  })
}

function isBlock(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value)
}

/** A value of a file that may hold anything. */
function toText(value: unknown): string {
  return escapeText(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}

function orNone(fields: readonly Field[], indent: string): readonly string[] {
  if (fields.length === 0) return [`${indent}(none)`]
  return fields.map(
    ([key, value]) => `${indent}${padEnd(`${key}:`, KEY_WIDTH)}${escapeText(value)}`,
  )
}
