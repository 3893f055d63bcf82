/** The names of the collection protocol's objects, below the prefix that is ours alone. */

const GC_PREFIX = '.s3lo/gc/'

/** A pin says "I may publish these names", a round says "I may delete these names". */
export type ControlKind = 'pin' | 'round'

/** Where a participant writes to read the store's clock. */
export const CLOCK_PREFIX = `${GC_PREFIX}clock/`

/** Where collectors remember since when names are garbage. */
export const CONDEMNED_PREFIX = `${GC_PREFIX}condemned/`

/** Where collectors remember how many tags they saw. */
export const CENSUS_PREFIX = `${GC_PREFIX}tags/`

/** The prefix of all pins, or of all rounds. */
export function controlPrefix(kind: ControlKind): string {
  return `${GC_PREFIX}${kind}s/`
}

/** `<time to live in seconds, 6 digits>-<id>.json`; all zeros never expires. */
export function controlKey(kind: ControlKind, ttlSeconds: number | undefined, id: string): string {
  return `${controlPrefix(kind)}${String(ttlSeconds ?? 0).padStart(6, '0')}-${id}.json`
}

/** What a control object's name tells. */
export interface ControlName {
  readonly id: string
  readonly ttlSeconds: number | undefined
}

/** Reads a name back; one that is not ours may mean anything, so it never expires. */
export function parseControlKey(key: string): ControlName {
  const [, ttl = '0', id = key] = /\/(\d{6})-([0-9a-f]{32})\.json$/.exec(key) ?? []
  return { id, ttlSeconds: Number(ttl) || undefined }
}

export function clockKey(id: string): string {
  return `${CLOCK_PREFIX}${id}`
}

/** `<seconds since 1970 by the store's clock, 12 digits>-<id>.txt` */
export function condemnedKey(sinceMs: number, id: string): string {
  return `${CONDEMNED_PREFIX}${String(Math.floor(sinceMs / 1000)).padStart(12, '0')}-${id}.txt`
}

/** Since when the names of a list are garbage (milliseconds since 1970); `undefined` for a foreign key. */
export function parseCondemnedKey(key: string): number | undefined {
  const [, since] = /\/(\d{12})-[0-9a-f]{32}\.txt$/.exec(key) ?? []
  return since === undefined ? undefined : Number(since) * 1000
}

/** `<tags, 12 digits>-<id>.txt` */
export function censusKey(tags: number, id: string): string {
  return `${CENSUS_PREFIX}${String(tags).padStart(12, '0')}-${id}.txt`
}

/** How many tags there were; `undefined` for a foreign key. */
export function parseCensusKey(key: string): number | undefined {
  const [, tags] = /^(\d{12})-[0-9a-f]{32}\.txt$/.exec(key.slice(CENSUS_PREFIX.length)) ?? []
  return tags === undefined ? undefined : Number(tags)
}
