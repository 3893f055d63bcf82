/** The names of the collection protocol's objects. */
import { GC_PREFIX } from '../layout/keys.ts'

/** A pin says "I may publish these names", a round says "I may delete these names". */
export type ControlKind = 'pin' | 'round'

/** The longest life of a pin or round that has one: no process holds up others for longer, plus a margin. */
export const MAX_TTL_SECONDS = 900

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

/**
 * Reads a name back; `undefined` for a key that no participant writes, also when its time to live is
 * longer than the protocol's longest: it has no say.
 */
export function parseControlKey(kind: ControlKind, key: string): ControlName | undefined {
  const [, ttl, id] =
    /^(\d{6})-([0-9a-f]{32})\.json$/.exec(key.slice(controlPrefix(kind).length)) ?? []
  if (ttl === undefined || id === undefined || Number(ttl) > MAX_TTL_SECONDS) return undefined
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
  const [, since] = /^(\d{12})-[0-9a-f]{32}\.txt$/.exec(key.slice(CONDEMNED_PREFIX.length)) ?? []
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

/** True for a key below {@link GC_PREFIX} that a participant can have written. */
export function isGcKey(key: string): boolean {
  const kind = (['pin', 'round'] as const).find((each) => key.startsWith(controlPrefix(each)))
  if (kind) return parseControlKey(kind, key) !== undefined
  if (key.startsWith(CONDEMNED_PREFIX)) return parseCondemnedKey(key) !== undefined
  if (key.startsWith(CENSUS_PREFIX)) return parseCensusKey(key) !== undefined
  return isClockKey(key)
}

/** True for a mark of a reading of the store's clock. */
export function isClockKey(key: string): boolean {
  return key.startsWith(CLOCK_PREFIX) && /^[0-9a-f-]{36}$/.test(key.slice(CLOCK_PREFIX.length))
}
