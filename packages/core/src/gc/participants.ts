import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { escapeText } from '../escape-text.ts'
import { formatStore } from '../layout/format-store.ts'
import { parseOwner } from '../process-identity.ts'
import { GC_PREFIX } from '../layout/keys.ts'
import { type ControlKind, isGcKey } from './control-key.ts'
import { type Author, type ControlObject, listControls, readControl } from './control-object.ts'
import { Others } from './others.ts'

/** A pin or round of a store; field names are those of `--output json`. */
export interface Participant {
  readonly kind: ControlKind
  readonly id: string
  /** What wrote it, as it says itself: `clean`, `push or copy of app:v1`. */
  readonly who: string
  readonly host?: string
  readonly pid?: number
  /** When it was written, by the store's clock. */
  readonly since: string
  /** When it is over at the latest; absent where only an operator can end it. */
  readonly until?: string
  /** `over`: it holds up no process, and the next clean removes it. `ended`: its process has ended. */
  readonly state: 'open' | 'ended' | 'over'
}

/** A pin or round in one line: what anybody may have written there is safe to show. */
export function nameParticipant(participant: Omit<Participant, 'state' | 'until'>): string {
  const { kind, id, who, host, pid, since } = participant
  const process = pid === undefined ? '' : `, process ${pid}`
  const machine = host === undefined ? '' : ` on ${host}`
  return escapeText(`${kind} ${id} of ${who}${process}${machine}, since ${since}`)
}

/** Every pin and round at a moment of the store's clock (milliseconds since 1970). */
export async function listParticipants(
  backend: StorageBackend,
  now: number,
  options: CallOptions = {},
): Promise<readonly Participant[]> {
  const found: Participant[] = []
  const others = new Others(backend, {})
  for (const kind of ['round', 'pin'] as const) {
    for await (const control of listControls(backend, kind, options)) {
      const read = await readControl(backend, control, options)
      if (!read) continue
      const isOver = await others.isOver(control, read.author, now)
      const state = isOver ? 'over' : others.hasEnded(control) ? 'ended' : 'open'
      found.push({ ...describeParticipant(control, read.author, others), state })
    }
  }
  return found
}

/** What there is to know of a pin or round by itself. */
export function describeParticipant(
  control: ControlObject,
  { who, host, owner }: Author,
  others: Others,
): Omit<Participant, 'state'> {
  const pid = owner === undefined ? undefined : parseOwner(owner)?.pid
  const until = others.overAt(control)
  return {
    kind: control.kind,
    id: control.id,
    who,
    ...(host === undefined ? {} : { host }),
    ...(pid === undefined ? {} : { pid }),
    since: isoOf(control.created),
    ...(until === undefined ? {} : { until: isoOf(until) }),
  }
}

function isoOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** Keys below the collection's own prefix that no participant writes: they count for nothing and stay. */
export async function* listForeignControls(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<string, void> {
  for await (const { key } of backend.list(GC_PREFIX, options)) if (!isGcKey(key)) yield key
}

/**
 * Ends pins and rounds, by their ids, on an operator's word that their processes have ended. Throws
 * `NOT_FOUND`, before anything is removed, for an id that is not there.
 */
export async function endParticipants(
  backend: StorageBackend,
  ids: readonly string[],
  { now, confirm, signal }: CallOptions & { readonly now: number; readonly confirm: boolean },
): Promise<readonly Participant[]> {
  const all = await listParticipants(backend, now, { signal })
  const wanted = new Set(ids)
  const ended = all.filter(({ id }) => wanted.has(id))
  const missing = ids.find((id) => !ended.some((participant) => participant.id === id))
  if (missing !== undefined) {
    const ref = formatStore(backend)
    throw new S3loError('NOT_FOUND', `${ref} has no pin or round ${JSON.stringify(missing)}`, {
      hint: `it may be over already; s3lo doctor ${ref} lists those that are there`,
    })
  }
  if (!confirm) return ended
  const keys: string[] = []
  for (const kind of ['round', 'pin'] as const) {
    for await (const { id, key } of listControls(backend, kind, { signal })) {
      if (wanted.has(id)) keys.push(key)
    }
  }
  const [failure] = keys.length === 0 ? [] : await backend.delete(keys, { signal })
  if (failure) throw failure.error
  return ended
}
