import type { YamlReader, YamlValue } from '@s3lo/core'

/**
 * The members of a mapping that has a known set of keys: one that is misspelled would silently allow
 * or forbid something. Reading reports faults with their line.
 */
export interface Fields {
  readonly value: YamlValue
  has(key: string): boolean
  /** `undefined` where nothing is written. */
  text(key: string): string | undefined
  /** As {@link Fields.text}. Throws `INTEGRITY` where it is missing. */
  required(key: string): string
  flag(key: string): boolean | undefined
  number(key: string): number | undefined
  /** One text, or a list of them; none where nothing is written. */
  texts(key: string): readonly (readonly [text: string, value: YamlValue])[]
  /** Each mapping of a list, or the one mapping that is written in its place. */
  mappings(key: string, known: readonly string[]): readonly Fields[]
  mapping(key: string, known: readonly string[]): Fields | undefined
  /** Throws `INTEGRITY` about a member, or about the mapping itself where there is none. */
  fail(key: string | undefined, problem: string): never
}

export function readFields(yaml: YamlReader, value: YamlValue, known: readonly string[]): Fields {
  const members = yaml.mapping(value)
  for (const [key, member] of members) {
    if (!known.includes(key)) {
      throw yaml.error(member, `is not known; known are ${known.join(', ')}`)
    }
  }
  const member = (key: string): YamlValue => members.get(key) ?? { node: undefined, path: key }
  const text = (key: string): string | undefined => yaml.text(member(key)) || undefined
  const fail = (key: string | undefined, problem: string): never => {
    throw yaml.error((key === undefined ? undefined : members.get(key)) ?? value, problem)
  }
  return {
    value,
    has: (key) => members.has(key),
    text,
    required: (key) => text(key) ?? fail(key, `has no ${key}`),
    flag: (key) => yaml.flag(member(key)),
    number: (key) => yaml.wholeNumber(member(key)),
    texts: (key) => readTexts(yaml, member(key)),
    mappings: (key, keys) =>
      entriesOf(yaml, member(key)).map((entry) => readFields(yaml, entry, keys)),
    mapping: (key, keys) => (members.has(key) ? readFields(yaml, member(key), keys) : undefined),
    fail,
  }
}

function readTexts(
  yaml: YamlReader,
  value: YamlValue,
): readonly (readonly [text: string, value: YamlValue])[] {
  return entriesOf(yaml, value).map((entry) => {
    const text = yaml.text(entry)
    if (!text) throw yaml.error(entry, 'is empty')
    return [text, entry]
  })
}

/** A value that is written where a list may be is a list of one. */
export function entriesOf(yaml: YamlReader, value: YamlValue): readonly YamlValue[] {
  return yaml.isList(value) ? yaml.list(value) : value.node === undefined ? [] : [value]
}
