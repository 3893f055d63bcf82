/** Bytes of a blob, `[start, end)`. */
export interface BlobRange {
  readonly start: number
  readonly end: number
}

/** `size` is of what the range is of. */
const ONE_RANGE = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/

/**
 * What of `size` bytes a Range header asks for (RFC 9110, 14.2). `undefined` where the whole is
 * to be answered: no header, other units, several ranges, or what no parser understands.
 * `unsatisfiable` where nothing of it is there.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): BlobRange | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined
  const [match, first, last, suffix] = ONE_RANGE.exec(header.replaceAll(/[ \t]/g, '')) ?? []
  if (match === undefined) return undefined
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size }
  }
  const start = Number(first)
  const end = last === undefined ? size : Math.min(Number(last) + 1, size)
  return start < size && start < end ? { start, end } : 'unsatisfiable'
}

/**
 * True for no range, and for one that every store reads alike. Azure knows no suffix, and stores differ
 * in what they make of other units.
 */
export function isRangeOfStores(header: string | undefined): boolean {
  return header === undefined || /^bytes=\d{1,15}-\d{0,15}$/.test(header)
}
