import { mapInOrder } from '../concurrency/map-in-order.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import type { RecordExpiry } from '../gc/record-expiry.ts'
import { expandDigest } from '../graph/expand-digest.ts'
import { transferImage } from '../graph/transfer.ts'
import { formatStore } from '../layout/format-store.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { presentDigest } from '../store/tag-write.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { TagEvent } from '../store/tag-events.ts'
import type { ForceOptions } from './options.ts'
import { readRepositories, type RepositoryMemory } from './tag-memory.ts'
import { assertTagged, tagPolicy } from './tag-policy.ts'
import { expiryBy, untilOf } from './untagged.ts'

export interface RestoreOptions extends ForceOptions, CallOptions, ProgressOptions {
  /** What the tag named at that moment. */
  readonly at?: Date | undefined
  /** An image that the tag need not have named; it may be shortened. */
  readonly digest?: string | undefined
}

/** A tag that names again what it did; field names are those of `--output json`. */
export interface RestoreResult {
  readonly ref: string
  readonly digest: string
  /** What the tag named until now, which stays restorable; absent where there was no such tag. */
  readonly replaced?: string
}

/** What a tag named before and can be given back; field names are those of `--output json`. */
export interface RestorableImage {
  readonly image: string
  readonly tag: string
  readonly digest: string
  /** When the tag was moved or deleted: RFC 3339. */
  readonly at: string
  /** `moved`, `deleted`, `expired` or `restored`. */
  readonly reason: TagEvent['reason']
  /** The machine that did it. */
  readonly by?: string
  /** Configs and layers; absent for an image of several platforms. */
  readonly size_bytes?: number
  /** Until when it can be restored, unless another tag names it: RFC 3339, or `forever`. */
  readonly kept_until: string
}

const TAGS_AT_ONCE = 16

/**
 * What can be restored in a store, of an image in it, or of one of its tags (`app:v1`): the last that
 * each tag named comes first. Throws `INTEGRITY` where the settings cannot be read.
 */
export async function restorable(
  store: ImageStore,
  scope: string,
  options: CallOptions = {},
): Promise<readonly RestorableImage[]> {
  const colon = scope.lastIndexOf(':')
  const [repository, tag] =
    colon < 0 ? [scope, undefined] : [scope.slice(0, colon), scope.slice(colon + 1)]
  const expiry = expiryBy(await store.config(options))
  const rows: RestorableImage[] = []
  const from = repository === '' ? {} : { repository, ...(tag === undefined ? {} : { tag }) }
  for await (const memory of readRepositories(store, from, options)) {
    rows.push(...(await rowsOf(store, memory, expiry, options)))
  }
  return rows
}

async function rowsOf(
  store: ImageStore,
  { repository, events, records }: RepositoryMemory,
  expiry: RecordExpiry,
  { signal: outer }: CallOptions,
): Promise<readonly RestorableImage[]> {
  const rowsOfTag = async (
    [tag, ofTag]: readonly [string, readonly TagEvent[]],
    signal: AbortSignal,
  ): Promise<readonly RestorableImage[]> => {
    const rows: RestorableImage[] = []
    const current = await presentDigest(store.backend, { name: repository, tag }, { signal })
    const seen = new Set(current === undefined ? [] : [current])
    for (const { was, at, reason, by, size_bytes } of ofTag.toReversed()) {
      const info = was === undefined ? undefined : records.get(was)
      if (was === undefined || !info || seen.has(was)) continue
      seen.add(was)
      rows.push({
        image: repository,
        tag,
        digest: was,
        at,
        reason,
        ...(by === undefined ? {} : { by }),
        ...(size_bytes === undefined ? {} : { size_bytes }),
        kept_until: untilOf(expiry.expiresAt({ repository, info })),
      })
    }
    return rows
  }
  const byTag = Map.groupBy(events, ({ tag }) => tag)
  return (await Array.fromAsync(mapInOrder(byTag, TAGS_AT_ONCE, rowsOfTag, outer))).flat()
}

/**
 * Gives a tag back what it named, out of the records of its repository: at a moment, an image by its
 * digest, or what a tag that is gone named last. Nothing is moved but the tag; what it names until
 * then stays restorable. Throws `NOT_FOUND` for what is not kept, `CONFLICT` for a tag that is there
 * when it is not said what to restore, and for an immutable one unless forced.
 */
export async function restore(
  store: ImageStore,
  reference: StoreReference,
  options: RestoreOptions = {},
): Promise<RestoreResult> {
  assertTagged(reference, 'restore')
  const { force, signal, onProgress } = options
  const digest = await choose(store, reference, options)
  const from = { source: store, reference: { name: reference.name, digest } }
  const to = { target: store, reference }
  const policy = await tagPolicy(store, reference, { force, signal, onProgress })
  const replaced = await presentDigest(store.backend, reference, { signal })
  await transferImage(from, to, {
    selection: { kind: 'all' },
    admit: policy.admit,
    tagOptions: () => ({ ...policy.options, restores: true }),
    signal,
    onProgress,
  })
  const isMoved = replaced !== undefined && replaced !== digest
  return { ref: formatReference(reference), digest, ...(isMoved ? { replaced } : {}) }
}

async function choose(
  store: ImageStore,
  reference: StoreReference,
  { at, digest, signal }: RestoreOptions,
): Promise<string> {
  const { name, tag = '' } = reference
  if (digest !== undefined && at !== undefined) {
    throw new S3loError('USAGE', 'a digest and a moment were given', { hint: 'give one of them' })
  }
  if (digest !== undefined) return (await expandDigest(store, { name, digest }, { signal })).digest
  const isThere = (await presentDigest(store.backend, reference, { signal })) !== undefined
  if (at === undefined && isThere) {
    throw new S3loError('CONFLICT', `${formatImageName(reference)} is there: say what to restore`, {
      hint: `pass --at or a digest; s3lo restore ${imageOf(store, reference)} shows what there is`,
    })
  }
  const [memory] = await Array.fromAsync(
    readRepositories(store, { repository: name, tag }, { signal }),
  )
  const found = memory && (at ? atMoment(memory.events, at) : lastNamed(memory.events))
  if (found !== undefined && memory?.records.has(found)) return found
  const when = at ? ` as it was at ${at.toISOString()}` : ''
  throw new S3loError(
    'NOT_FOUND',
    `${formatImageName(reference)}${when} is not kept in ${store.name}`,
    { hint: `s3lo restore ${imageOf(store, reference)} shows what can be restored` },
  )
}

/** What a tag named at a moment, by the first event after it; `undefined` where that is not known. */
function atMoment(events: readonly TagEvent[], moment: Date): string | undefined {
  const next = events.findIndex(({ at }) => Date.parse(at) > moment.getTime())
  if (next < 0) return lastNamed(events)
  const { was, since } = events[next] ?? {}
  if (was === undefined) return undefined
  // The date of the tag's object is that of its last push, which may have changed nothing.
  const before = events[next - 1]
  const began = before?.became === was ? before.at : since
  return began !== undefined && Date.parse(began) <= moment.getTime() ? was : undefined
}

/** What a tag named last; a program that keeps no events may have deleted it since. */
function lastNamed(events: readonly TagEvent[]): string | undefined {
  const last = events.at(-1)
  return last?.became ?? last?.was
}

function imageOf({ backend }: ImageStore, { name }: Reference): string {
  return formatStore(backend, name)
}
