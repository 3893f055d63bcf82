import { S3loError } from '../errors.ts'

/** A JSON object whose members are not known yet. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Longer texts than this stand in no field that is read here (UTF-16 units). */
const MAX_STRING = 64 * 1024

/** Where in a document a value stands, for error messages. */
type Path = string

function fail(what: string, path: Path): never {
  throw new S3loError('INTEGRITY', `${path} is not ${what}`)
}

/** Parses foreign JSON. Throws `INTEGRITY` naming the document. */
export function parseJson(content: Uint8Array, what: string): unknown {
  return parseText(decode(content, what), what)
}

/**
 * Parses foreign JSON that is trusted for what it says: manifests, configs, signatures. Throws
 * `INTEGRITY` for an object that has a member twice as well: each of two readers could believe
 * another one.
 */
export function parseStrictJson(content: Uint8Array, what: string): unknown {
  const text = decode(content, what)
  const value = parseText(text, what)
  const repeated = repeatedMember(text)
  if (repeated === undefined) return value
  throw new S3loError('INTEGRITY', `${what} has the member ${excerpt(repeated)} twice`)
}

/**
 * Refuses members that differ from one of `names` by case only. Readers written in Go take them for
 * it, and others pass over them. Throws `INTEGRITY`.
 */
export function refuseLookalikes(object: JsonObject, names: ReadonlySet<string>, path: Path): void {
  for (const key of Object.keys(object)) {
    if (!names.has(key) && names.has(folded(key, names))) {
      throw new S3loError(
        'INTEGRITY',
        `${path} has the member ${excerpt(key)}, which some read as another`,
      )
    }
  }
}

/** The one of `names` that a key differs from by case only; else the key. */
function folded(key: string, names: ReadonlySet<string>): string {
  const plain = fold(key)
  for (const name of names) if (name.length === key.length && fold(name) === plain) return name
  return key
}

/** Both ways, as Go folds: `ſ` is an `s` and the sign of Kelvin a `k`. */
function fold(text: string): string {
  return text.toUpperCase().toLowerCase()
}

function excerpt(key: string): string {
  return JSON.stringify(key.slice(0, 80))
}

function decode(content: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch (cause) {
    throw new S3loError('INTEGRITY', `${what} is not JSON`, { cause })
  }
}

function parseText(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new S3loError('INTEGRITY', `${what} is not JSON`, { cause })
  }
}

/** The first member that an object of valid JSON has twice. */
function repeatedMember(text: string): string | undefined {
  /** The members so far of each object that is open; `undefined` for a list. */
  const open: (Set<string> | undefined)[] = []
  let isKey = false
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
        open.push(new Set())
        isKey = true
        break
      case '[':
        open.push(undefined)
        isKey = false
        break
      case '}':
      case ']':
        open.pop()
        isKey = false
        break
      case ',':
        isKey = open.at(-1) !== undefined
        break
      case '"': {
        const end = endOfString(text, at)
        if (isKey) {
          const key = unescaped(text.slice(at, end + 1))
          if (open.at(-1)?.has(key)) return key
          open.at(-1)?.add(key)
          isKey = false
        }
        at = end
      }
    }
  }
  return undefined
}

/** Where the quote is that ends the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const end = text.indexOf('"', at)
    let slashes = 0
    while (text[end - 1 - slashes] === '\\') slashes++
    if (end < 0 || slashes % 2 === 0) return end < 0 ? text.length : end
    at = end
  }
}

function unescaped(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1)
}

export function asObject(value: unknown, path: Path): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('an object', path)
  }
  return value as JsonObject
}

export function asArray(value: unknown, path: Path): readonly unknown[] {
  return Array.isArray(value) ? value : fail('a list', path)
}

export function asString(value: unknown, path: Path): string {
  return typeof value === 'string' && value.length <= MAX_STRING ? value : fail('a text', path)
}

/** A count of bytes or things: a whole number that is not negative and that a double holds exactly. */
export function asSize(value: unknown, path: Path): number {
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? (value as number)
    : fail('a size', path)
}

/** Reads an optional member: JSON `null` and absence are the same. */
export function optional<T>(
  object: JsonObject,
  key: string,
  path: Path,
  read: (value: unknown, path: Path) => T,
): T | undefined {
  const value = object[key]
  return value === undefined || value === null ? undefined : read(value, `${path}.${key}`)
}

export function asStringMap(value: unknown, path: Path): Readonly<Record<string, string>> {
  const entries = Object.entries(asObject(value, path))
  // A null prototype: annotation keys are foreign, and `__proto__` must be a key like any other.
  const map: Record<string, string> = Object.create(null)
  for (const [key, text] of entries) map[key] = asString(text, `${path}.${key.slice(0, 80)}`)
  return map
}
