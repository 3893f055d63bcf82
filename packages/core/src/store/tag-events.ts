import { hostname } from 'node:os'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import {
  parseRepositoryKey,
  REPOSITORIES_PREFIX,
  tagEventKey,
  tagEventsPrefix,
} from '../layout/repository-keys.ts'
import { isDigest, parseDigest } from '../oci/digest.ts'
import { asObject, asSize, asString, optional, parseJson } from '../oci/json.ts'
import { readObject } from './read-object.ts'

/** Why a tag names something else than before, or nothing. `expired`: by a rule of retention. */
export type TagEventReason = 'moved' | 'deleted' | 'restored' | 'expired'

/** What happened to a tag, as the object of a tag event says it. */
export interface TagEvent {
  readonly tag: string
  /** What it named before; absent where there was no such tag. */
  readonly was?: string | undefined
  /** Since when, by the date of its object: RFC 3339. */
  readonly since?: string | undefined
  /** What it names from then on; absent for one that was deleted. */
  readonly became?: string | undefined
  /** By the store's clock, RFC 3339 with milliseconds. */
  readonly at: string
  /** The machine. */
  readonly by?: string | undefined
  readonly reason: TagEventReason
  /** Configs and layers of what it named before, where that is one image (bytes). */
  readonly size_bytes?: number | undefined
}

/** The object of a tag event. */
export interface TagEventName {
  readonly key: string
  readonly repository: string
  readonly tag: string
  /** Milliseconds since 1970. */
  readonly at: number
}

const REASONS: ReadonlySet<string> = new Set<TagEventReason>([
  'moved',
  'deleted',
  'restored',
  'expired',
])

/** One event (bytes). */
const MAX_EVENT_BYTES = 64 * 1024

/** Anybody can write there, and it is shown in one line. */
const MAX_BY_CHARACTERS = 200

/**
 * Remembers what happens to a tag, under a name that is never used again. `at` is by the store's
 * clock. Returns the key.
 */
export async function writeTagEvent(
  backend: StorageBackend,
  repository: string,
  { at, ...event }: Omit<TagEvent, 'at' | 'by'> & { readonly at: Date },
  options?: CallOptions,
): Promise<string> {
  const id = eventId(event.was ?? event.became)
  const key = tagEventKey(repository, event.tag, at.getTime(), id)
  const text = JSON.stringify({ v: 1, ...event, at: at.toISOString(), by: hostname() })
  const content = new TextEncoder().encode(text)
  await backend.put(key, content, {
    ...options,
    size: content.byteLength,
    mediaType: 'application/json',
  })
  return key
}

/** Digits of an event's id: of its place among those of one moment, and of the digest whose record it needs. */
const ORDER_DIGITS = 13
const DIGEST_DIGITS = 16
let latest = 0

/**
 * A store's clock may have whole seconds, in which one machine deletes and restores: the id begins
 * with the microsecond by the machine's own clock, never the same twice. An event lives as long as
 * the record of what the tag named before, or else of what it names.
 */
function eventId(digest: string | undefined): string {
  latest = Math.max(latest + 1, Math.floor((performance.timeOrigin + performance.now()) * 1000))
  const random = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
  const order = latest.toString(16).padStart(ORDER_DIGITS, '0')
  const named = digest === undefined ? '' : markOfRecord(digest)
  return (order + named + random).slice(0, random.length)
}

/** What the id of an event and the digest of the record that it needs have in common: `markOfRecord`. */
export function markOfEvent(id: string): string {
  return id.slice(ORDER_DIGITS, ORDER_DIGITS + DIGEST_DIGITS)
}

export function markOfRecord(digest: string): string {
  return parseDigest(digest).hex.slice(0, DIGEST_DIGITS)
}

/**
 * The events of a tag, oldest first; without a tag, those of all tags of a repository, by tag;
 * without a repository, those of the store.
 */
export async function* listTagEvents(
  backend: StorageBackend,
  { repository, tag }: { readonly repository?: string; readonly tag?: string },
  options?: CallOptions,
): AsyncGenerator<TagEventName> {
  const prefix = repository === undefined ? REPOSITORIES_PREFIX : tagEventsPrefix(repository, tag)
  for await (const { key } of backend.list(prefix, options)) {
    const name = parseRepositoryKey(key)
    if (name?.kind !== 'tag-event') continue
    if (repository !== undefined && name.repository !== repository) continue
    if (tag !== undefined && name.tag !== tag) continue
    yield { key, repository: name.repository, tag: name.tag, at: name.at }
  }
}

/** What a tag event says; `undefined` when it is gone. Throws `INTEGRITY`. */
export async function readTagEvent(
  backend: StorageBackend,
  { key, tag, at }: TagEventName,
  options?: CallOptions,
): Promise<TagEvent | undefined> {
  const content = await readObject(backend, key, MAX_EVENT_BYTES, options)
  if (!content) return undefined
  const object = asObject(parseJson(content, key), key)
  if (object['v'] !== 1) {
    throw new S3loError('INTEGRITY', `${key} is of a version that is not known`)
  }
  const reason = asString(object['reason'], `${key}.reason`)
  if (!isReason(reason)) throw new S3loError('INTEGRITY', `${key}.reason is not known`)
  return {
    tag,
    at: new Date(at).toISOString(),
    reason,
    was: optional(object, 'was', key, asDigest),
    became: optional(object, 'became', key, asDigest),
    since: optional(object, 'since', key, asTime),
    by: optional(object, 'by', key, asString)?.slice(0, MAX_BY_CHARACTERS),
    size_bytes: optional(object, 'size_bytes', key, asSize),
  }
}

function isReason(text: string): text is TagEventReason {
  return REASONS.has(text)
}

function asDigest(value: unknown, path: string): string {
  const digest = asString(value, path)
  if (isDigest(digest)) return digest
  throw new S3loError('INTEGRITY', `${path} is not a digest`)
}

function asTime(value: unknown, path: string): string {
  const text = asString(value, path)
  if (!Number.isNaN(Date.parse(text))) return text
  throw new S3loError('INTEGRITY', `${path} is not a time`)
}
