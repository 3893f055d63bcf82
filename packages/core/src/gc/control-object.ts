import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { asArray, asObject, asString, parseJson } from '../oci/json.ts'
import { readObject } from '../store/read-object.ts'
import { noteSkew } from './clock-skew.ts'
import { controlKey, type ControlKind, controlPrefix, parseControlKey } from './control-key.ts'
import { NameSet } from './name-set.ts'
import type { Lifetime } from './steps.ts'

/** A pin or round whose names are not read is this large at most (bytes); a larger one matches everything. */
const MAX_CONTROL_BYTES = 4 * 1024 * 1024

/**
 * A pin or a round in the store. Both are written once, under a random name that is never used
 * again, so that a late duplicate of the write changes nothing but the date, and that only forward.
 *
 * It expires its time to live after the store's own `lastModified` of it. The protocol asks for
 * the `Date` header of an earlier answer; the date that the store gave the object itself is of the
 * same clock, needs no earlier request, and is what everybody else reads in the listing. The writer
 * takes the date from the answer to its write, which is later than the stored one by no more than
 * the request took: the margin covers that.
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
  /** Who wrote it, for people. */
  readonly who: string
}

export interface ControlOptions extends CallOptions, ProgressOptions {
  /** Seconds; `undefined` where the store enforces no deadlines: it never expires. */
  readonly ttlSeconds: number | undefined
  /** Told of the key before anything is written, for whoever has to remove it whatever happens. */
  readonly onKey?: ((key: string) => void) | undefined
}

/** After every clock, also one that is decades off. */
const FENCE = Date.UTC(9999, 0)

/**
 * A deadline that only has to be there, far ahead. A store that judges deadlines under a lock (a
 * local one) lets a write that has one in only when no other such change is under way. So once a
 * pin, a round or a reading of the clock is written with it, whoever was stopped between his look
 * at the clock and his change has finished it: what is dead by that clock is over, not just late.
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
  const id = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
  const key = controlKey(kind, ttlSeconds, id)
  const text = JSON.stringify({ v: 1, kind, id, ttl: ttlSeconds ?? null, names, who })
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

/** Every pin or round in the store, whether dead or not; names of control objects tell all but their names. */
export async function* listControls(
  backend: StorageBackend,
  kind: ControlKind,
  options?: CallOptions,
): AsyncGenerator<ControlObject, void> {
  for await (const info of backend.list(controlPrefix(kind), options)) {
    const { id, ttlSeconds } = parseControlKey(info.key)
    yield { kind, key: info.key, id, ...lifetimeOf(info, ttlSeconds) }
  }
}

/**
 * The names a pin or round holds; `undefined` when it is gone: its owner has finished. What cannot
 * be read as version 1 may mean anything, so it matches everything until it is dead.
 */
export async function readNames(
  backend: StorageBackend,
  { key, kind }: ControlObject,
  options?: CallOptions,
): Promise<NameSet | undefined> {
  try {
    const content = await readObject(backend, key, MAX_CONTROL_BYTES, options)
    return content && new NameSet(parseNames(content, kind, key))
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return everything()
    throw error
  }
}

function parseNames(content: Uint8Array, kind: ControlKind, key: string): readonly string[] {
  const object = asObject(parseJson(content, key), key)
  if (object['v'] !== 1 || object['kind'] !== kind) return ['']
  const names = asArray(object['names'], `${key}.names`).map((name) => asString(name, key))
  return names.every((name) => /^[0-9a-f]{0,128}$/.test(name)) ? names : ['']
}

function everything(): NameSet {
  return new NameSet([''])
}

function lifetimeOf(
  { lastModified }: ObjectInfo,
  ttlSeconds: number | undefined,
): Pick<ControlObject, 'created' | 'expires'> {
  const created = lastModified.getTime()
  return { created, expires: ttlSeconds === undefined ? undefined : created + ttlSeconds * 1000 }
}
