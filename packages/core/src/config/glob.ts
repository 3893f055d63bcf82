/** One thing a pattern asks of one character. */
type Item =
  | { readonly kind: 'literal'; readonly character: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly Range[] }

type Range = readonly [low: number, high: number]

/** Items that follow each other, wherever they stand (after a `*`) or right here. */
interface Chunk {
  readonly floating: boolean
  readonly items: readonly Item[]
}

const SLASH = 0x2f

/**
 * True when a shell-style pattern matches the whole of an image name, as Go's path.Match has it:
 * `*` and `?` never match `/`, classes do. A malformed pattern matches nothing. The cost is at most
 * the product of both lengths.
 */
export function matchesGlob(pattern: string, name: string): boolean {
  const chunks = parse(pattern)
  return chunks !== undefined && matchesChunks(chunks, toCodePoints(name))
}

/** True for a pattern that {@link matchesGlob} can match at all: no open class, no trailing `\`. */
export function isWellFormed(pattern: string): boolean {
  return parse(pattern) !== undefined
}

/** True for a pattern that is meant to match more than one name: it has a `*`, `?` or `[`. */
export function hasWildcard(pattern: string): boolean {
  return /[*?[]/.test(pattern)
}

/**
 * Chunk after chunk, each at its first place: a later place never lets the rest match better, so
 * that there is nothing to go back to (but for a class that matches `/`, where Go stops as well).
 */
function matchesChunks(chunks: readonly Chunk[], name: readonly number[]): boolean {
  let position = 0
  for (const [i, chunk] of chunks.entries()) {
    const place = findPlace(chunk, name, position, i === chunks.length - 1)
    if (place === undefined) return false
    position = place + chunk.items.length
  }
  return position === name.length
}

/** The first place, from `start` on and in the same component, where a chunk matches; the last one ends the name. */
function findPlace(
  { floating, items }: Chunk,
  name: readonly number[],
  start: number,
  last: boolean,
): number | undefined {
  for (let place = start; place + items.length <= name.length; place++) {
    const ends = place + items.length === name.length
    if ((ends || !last) && matchesAt(items, name, place)) return place
    if (!floating || name[place] === SLASH) return undefined
  }
  return undefined
}

function matchesAt(items: readonly Item[], name: readonly number[], place: number): boolean {
  return items.every((item, i) => matchesItem(item, name[place + i]))
}

function matchesItem(item: Item, character: number | undefined): boolean {
  if (character === undefined) return false
  if (item.kind === 'literal') return item.character === character
  if (item.kind === 'any') return character !== SLASH
  return item.ranges.some(([low, high]) => low <= character && character <= high) !== item.negated
}

/** A pattern being read. */
interface Cursor {
  readonly text: readonly string[]
  position: number
}

function parse(pattern: string): readonly Chunk[] | undefined {
  const cursor: Cursor = { text: Array.from(pattern), position: 0 }
  const chunks: Chunk[] = []
  while (cursor.position < cursor.text.length) {
    const floating = skipStars(cursor)
    const items: Item[] = []
    while (cursor.position < cursor.text.length && cursor.text[cursor.position] !== '*') {
      const item = parseItem(cursor)
      if (item === undefined) return undefined
      items.push(item)
    }
    chunks.push({ floating, items })
  }
  return chunks
}

function skipStars(cursor: Cursor): boolean {
  const start = cursor.position
  while (cursor.text[cursor.position] === '*') cursor.position++
  return cursor.position > start
}

function parseItem(cursor: Cursor): Item | undefined {
  const first = cursor.text[cursor.position]
  if (first === '[') return parseClass(cursor)
  if (first === '?') {
    cursor.position++
    return { kind: 'any' }
  }
  const character = parseEscaped(cursor)
  return character === undefined ? undefined : { kind: 'literal', character }
}

/** `[` and at least one character or range, then `]`; a `-` or `]` that is meant as such is escaped. */
function parseClass(cursor: Cursor): Item | undefined {
  const { text } = cursor
  cursor.position++
  const negated = text[cursor.position] === '^'
  if (negated) cursor.position++
  const ranges: Range[] = []
  do {
    const low = parseBound(cursor)
    if (low === undefined) return undefined
    if (text[cursor.position] !== '-') {
      ranges.push([low, low])
      continue
    }
    cursor.position++
    const high = parseBound(cursor)
    if (high === undefined) return undefined
    ranges.push([low, high])
  } while (text[cursor.position] !== ']')
  cursor.position++
  return { kind: 'class', negated, ranges }
}

function parseBound(cursor: Cursor): number | undefined {
  const next = cursor.text[cursor.position]
  return next === '-' || next === ']' ? undefined : parseEscaped(cursor)
}

/** One character, or the one after a `\`; `undefined` at the end. */
function parseEscaped(cursor: Cursor): number | undefined {
  if (cursor.text[cursor.position] === '\\') cursor.position++
  return cursor.text[cursor.position++]?.codePointAt(0)
}

function toCodePoints(text: string): readonly number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0)
}
