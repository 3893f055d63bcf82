import { hostname } from 'node:os'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { asArray, asObject, asString, parseJson } from '../oci/json.ts'
import { newOwnedName } from '../process-identity.ts'
import { readObject } from '../store/read-object.ts'
import { noteSkew } from './clock-skew.ts'
import {
  controlKey,
  type ControlKind,
  controlPrefix,
  MAX_TTL_SECONDS,
  parseControlKey,
} from './control-key.ts'
import { NameSet } from './name-set.ts'
import type { Lifetime } from './steps.ts'

/** A pin or round whose names are not read is this large at most (bytes); a larger one matches everything. */
const MAX_CONTROL_BYTES = 4 * 1024 * 1024

/**
 * A pin or a round in the store. Both are written once, under a random name that is never used
 * again, so that a late duplicate of the write changes nothing but the date, and that only forward.
 *
 * It expires its time to live after the store's own `lastModified` of it, which all others read in
 * the listing. The writer takes the date from the answer to its write, which is later than the
 * stored one by no more than the request took: the margin covers that (docs/garbage-collection.md,
 * clocks).
 */
export interface ControlObject extends Lifetime {
  readonly kind: ControlKind
  readonly key: string
  readonly id: string
  /** By the store's clock, milliseconds since 1970. */
  readonly created: number
}

/** What is written into a control object. */
export interface ControlContent {
  readonly names: readonly string[]
  /** What wrote it, for people: `clean`, `push or copy of app:v1`. */
  readonly who: string
}

/** What a control object says of its author. It is hearsay: for people, and for what is known dead. */
export interface Author {
  readonly who: string
  readonly host: string | undefined
  /** The process, as `newOwnedName` names it. */
  readonly owner: string | undefined
}

/** What is in a pin or round. */
export interface ControlDocument {
  readonly names: NameSet
  readonly author: Author
}

export interface ControlOptions extends CallOptions, ProgressOptions {
  /** Seconds; `undefined` where the store enforces no deadlines: it never expires. */
  readonly ttlSeconds: number | undefined
  /** Called with the key before anything is written, so that the caller can remove it in any case. */
  readonly onKey?: ((key: string) => void) | undefined
}

/** After every clock, also one that is decades off. */
const FENCE = Date.UTC(9999, 0)

/**
 * A deadline that only has to be there, far ahead. A store that judges deadlines under a lock (a
 * local one) lets a write that has one in only when no other such change is under way. So once a
 * pin, a round or a reading of the clock is written with it, every process that was suspended
 * between reading the clock and its change has finished it: what is dead by that clock is over, not just late.
 */
export function fence(): Date {
  return new Date(FENCE)
}

/** Writes a pin or round under a new name. Its lifetime is by the date that the store answers with. */
export async function writeControl(
  backend: StorageBackend,
  kind: ControlKind,
  { names, who }: ControlContent,
  { ttlSeconds, signal, onKey, onProgress }: ControlOptions,
): Promise<ControlObject> {
  if (ttlSeconds !== undefined && !(ttlSeconds >= 1 && ttlSeconds <= MAX_TTL_SECONDS)) {
    const what = `a ${kind} lives for 1 to ${MAX_TTL_SECONDS} seconds`
    throw new S3loError('USAGE', `${what}, not for ${ttlSeconds}`)
  }
  const id = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
  const key = controlKey(kind, ttlSeconds, id)
  const author = { who, host: hostname(), owner: await newOwnedName() }
  const text = JSON.stringify({ v: 1, kind, id, ttl: ttlSeconds ?? null, names, ...author })
  const content = new TextEncoder().encode(text)
  onKey?.(key)
  const from = Date.now()
  const info = await backend.put(key, content, {
    signal,
    ...(ttlSeconds !== undefined && { notAfter: fence() }),
    size: content.byteLength,
    mediaType: 'application/json',
  })
  const lifetime = lifetimeOf(info, ttlSeconds)
  noteSkew(backend, lifetime.created, { from, to: Date.now() }, { onProgress })
  return { kind, key, id, ...lifetime }
}

/** Every pin or round in the store, whether dead or not; keys that no participant writes are left out. */
export async function* listControls(
  backend: StorageBackend,
  kind: ControlKind,
  options?: CallOptions,
): AsyncGenerator<ControlObject, void> {
  for await (const info of backend.list(controlPrefix(kind), options)) {
    const name = parseControlKey(kind, info.key)
    if (name) yield { kind, key: info.key, id: name.id, ...lifetimeOf(info, name.ttlSeconds) }
  }
}

/**
 * What a pin or round says; `undefined` when it is gone: its owner has finished. What cannot be read
 * as version 1 may mean anything, so it matches everything until it is dead.
 */
export async function readControl(
  backend: StorageBackend,
  { key, kind }: ControlObject,
  options?: CallOptions,
): Promise<ControlDocument | undefined> {
  try {
    const content = await readObject(backend, key, MAX_CONTROL_BYTES, options)
    return content && parseControl(content, kind, key)
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return UNREADABLE
    throw error
  }
}

const UNREADABLE: ControlDocument = {
  names: new NameSet(['']),
  author: { who: 'unknown', host: undefined, owner: undefined },
}

function parseControl(content: Uint8Array, kind: ControlKind, key: string): ControlDocument {
  const object = asObject(parseJson(content, key), key)
  if (object['v'] !== 1 || object['kind'] !== kind) return UNREADABLE
  const names = asArray(object['names'], `${key}.names`).map((name) => asString(name, key))
  if (!names.every((name) => /^[0-9a-f]{0,128}$/.test(name))) return UNREADABLE
  const [who = 'unknown', host, owner] = ['who', 'host', 'owner'].map((field) => {
    const value = object[field]
    return typeof value === 'string' ? value.slice(0, MAX_AUTHOR_CHARACTERS) : undefined
  })
  return { names: new NameSet(names), author: { who, host, owner } }
}

/** Anybody can write there, and it is shown in one line. */
const MAX_AUTHOR_CHARACTERS = 200

function lifetimeOf(
  { lastModified }: ObjectInfo,
  ttlSeconds: number | undefined,
): Pick<ControlObject, 'created' | 'expires'> {
  const created = lastModified.getTime()
  return { created, expires: ttlSeconds === undefined ? undefined : created + ttlSeconds * 1000 }
}
