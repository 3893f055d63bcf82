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
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch (cause) {
    throw new S3loError('INTEGRITY', `${what} is not JSON`, { cause })
  }
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
