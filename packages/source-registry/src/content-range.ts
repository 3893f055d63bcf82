/** The bytes that a partial answer holds. */
export interface ContentRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** Bytes of the whole; absent where the server does not know. */
  readonly total?: number
}

/** Reads a `Content-Range` header (RFC 9110, 14.4); `undefined` when it is none or contradicts itself. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const found = /^bytes[ ]+(\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(header?.trim() ?? '')
  if (!found) return undefined
  const [start, last] = [Number(found[1]), Number(found[2])]
  const total = found[3] === '*' ? undefined : Number(found[3])
  const end = last + 1
  if (!Number.isSafeInteger(end) || start >= end) return undefined
  if (total === undefined) return { start, end }
  return Number.isSafeInteger(total) && end <= total ? { start, end, total } : undefined
}

/**
 * How many bytes an upload holds by its `Range: 0-<last>` header (OCI distribution spec v1.1.1,
 * "pushing a blob in chunks"); `undefined` when the header says nothing of the kind. `0-0` is
 * what registries answer for one byte, and several of them for none.
 */
export function parseUploadRange(header: string | undefined): number | undefined {
  const found = /^(?:bytes=)?0-(-?\d{1,16})$/.exec(header?.trim() ?? '')
  if (!found) return undefined
  const size = Number(found[1]) + 1
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined
}

/** A `Content-Length` header in bytes; `undefined` when it is none. */
export function parseContentLength(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,16}$/.test(header)) return undefined
  const size = Number(header)
  return Number.isSafeInteger(size) ? size : undefined
}
