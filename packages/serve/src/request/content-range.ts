/** Where in an upload a chunk lies: its first and last byte. */
export interface ChunkRange {
  readonly first: number
  readonly last: number
}

/** Not the form of HTTP (RFC 9110, 14.4): no unit, no length of the whole. */
const CHUNK = /^(\d{1,15})-(\d{1,15})$/

/** Reads the Content-Range of a chunk (distribution spec v1.1.1, "pushing a blob in chunks"); `undefined` for none. */
export function parseContentRange(header: string): ChunkRange | undefined {
  const [, first, last] = CHUNK.exec(header) ?? []
  if (first === undefined || last === undefined) return undefined
  return { first: Number(first), last: Number(last) }
}
