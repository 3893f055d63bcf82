import { byUtf8 } from '../layout/key-order.ts'

/**
 * Brings entries from the order of UTF-16 units into key order, by UTF-8 bytes. The two differ only
 * between characters above U+FFFF and those from U+E000 on; a name with one of the former waits
 * until no name of the latter kind can come before it.
 */
export async function* inKeyOrder<T>(
  entries: AsyncIterable<T>,
  nameOf: (entry: T) => string,
): AsyncGenerator<T, void> {
  const sorted = (): T[] => waiting.toSorted((a, b) => byUtf8(nameOf(a), nameOf(b)))
  let waiting: T[] = []
  let stem: string | undefined
  for await (const entry of entries) {
    const name = nameOf(entry)
    if (stem !== undefined && !name.startsWith(stem)) {
      yield* sorted()
      waiting = []
      stem = undefined
    }
    stem ??= stemOf(name)
    if (stem === undefined) yield entry
    else waiting.push(entry)
  }
  yield* sorted()
}

/** What stands before the first character above U+FFFF. */
function stemOf(name: string): string | undefined {
  const place = name.search(/[\u{10000}-\u{10ffff}]/u)
  return place === -1 ? undefined : name.slice(0, place)
}
