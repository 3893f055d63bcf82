import type { ObjectInfo } from '../contract/storage-backend.ts'
import { hexDigestOf, parseDigest } from '../oci/digest.ts'

/** The name of a digest in pins and rounds: its hex digits, for every class of object. */
export function nameOf(digest: string): string {
  return parseDigest(digest).hex
}

/** One name for what an object is at one moment, for sets of names. */
export function versionOf({ key, etag }: Pick<ObjectInfo, 'key' | 'etag'>): string {
  return hexDigestOf(`${key}\0${etag}`)
}

/** Names are cut to this in a control object of many: a false match only keeps or waits. */
const SHORT_NAME = 8

/** Up to this many names are written in full. */
const MAX_FULL_NAMES = 2000

/** The names as a control object carries them: in full, or as prefixes when there are very many. */
export function shorten(names: Iterable<string>): readonly string[] {
  const unique = new Set(names)
  if (unique.size <= MAX_FULL_NAMES) return [...unique]
  return [...new Set([...unique].map((name) => name.slice(0, SHORT_NAME)))]
}

/** Names and prefixes of names; the empty prefix matches everything. */
export class NameSet {
  readonly #byLength = new Map<number, Set<string>>()

  constructor(names: Iterable<string> = []) {
    this.add(names)
  }

  add(names: Iterable<string>): void {
    for (const name of names) {
      const known = this.#byLength.get(name.length)
      if (known) known.add(name)
      else this.#byLength.set(name.length, new Set([name]))
    }
  }

  /** True when the name, or a prefix of it, is in the set. */
  matches(name: string): boolean {
    for (const [length, names] of this.#byLength) {
      if (names.has(name.slice(0, length))) return true
    }
    return false
  }
}
