import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { CHUNK_RECIPES_PREFIX, parseChunkRecipeKey } from '../layout/chunk-keys.ts'
import { BLOBS_PREFIX, RECIPES_PREFIX, REFERRER_BLOBS_PREFIX } from '../layout/keys.ts'
import {
  LINKS_PREFIX,
  parseLinkKey,
  parseRepositoryKey,
  REPOSITORIES_PREFIX,
} from '../layout/repository-keys.ts'
import { parseUploadKey, sessionKey, uploadPrefix, UPLOADS_PREFIX } from '../layout/upload-keys.ts'
import { digestBelow } from '../layout/parse-key.ts'
import { endOfLink } from '../store/links.ts'
import { listKeys } from '../store/list-keys.ts'
import { markOfEvent, markOfRecord } from '../store/tag-events.ts'
import { DigestSet } from './digest-set.ts'
import { within } from './live-graph.ts'
import { nameOf } from './name-set.ts'
import type { Others } from './others.ts'

/** When something of a repository is left over. */
export interface LeftoverOptions extends CallOptions {
  /** The store's time, milliseconds since 1970. */
  readonly now: number
  readonly others: Others
  /** An age (milliseconds) from which work was abandoned. */
  readonly abandonedAfterMs: number
}

/** What links protect at a moment of the store's clock (milliseconds since 1970): 32 to 64 bytes for each. */
export async function readLinkedNames(
  backend: StorageBackend,
  { now, others, signal }: Omit<LeftoverOptions, 'abandonedAfterMs'>,
): Promise<DigestSet> {
  const names = new DigestSet()
  for await (const info of backend.list(LINKS_PREFIX, { signal })) {
    const link = parseLinkKey(info.key)
    if (link && !others.isDeadAt(endOfLink(link, info.lastModified), now)) {
      names.add(nameOf(link.digest))
    }
  }
  return names
}

/**
 * Links that protect nothing any more, uploads that were abandoned, members whose blob is gone, and
 * events of tags and entries of referrers whose record is.
 */
export async function* listRepositoryLeftovers(
  backend: StorageBackend,
  options: LeftoverOptions,
): AsyncGenerator<string, void> {
  yield* deadLinks(backend, options)
  yield* abandonedUploads(backend, options)
  yield* lostMembers(backend, options)
  yield* lostWithRecords(backend, options)
}

async function* deadLinks(
  backend: StorageBackend,
  { now, others, signal }: LeftoverOptions,
): AsyncGenerator<string, void> {
  for await (const { key, lastModified } of backend.list(LINKS_PREFIX, { signal })) {
    const link = parseLinkKey(key)
    if (link && others.isDeadAt(endOfLink(link, lastModified), now)) yield key
  }
}

/** An upload is as young as the last thing that was written of it. Its keys are next to each other. */
async function* abandonedUploads(
  backend: StorageBackend,
  { now, abandonedAfterMs, signal }: LeftoverOptions,
): AsyncGenerator<string, void> {
  let id: string | undefined
  let latest = 0
  const keys = async function* (): AsyncGenerator<string, void> {
    if (id !== undefined && latest + abandonedAfterMs < now) yield* keysOf(backend, id, { signal })
  }
  for await (const info of backend.list(UPLOADS_PREFIX, { signal })) {
    const key = parseUploadKey(info.key)
    if (!key) continue
    if (key.id !== id) {
      yield* keys()
      id = key.id
      latest = 0
    }
    latest = Math.max(latest, info.lastModified.getTime())
  }
  yield* keys()
}

/** The session first: without it the rest is no upload. */
async function* keysOf(
  backend: StorageBackend,
  id: string,
  options: CallOptions,
): AsyncGenerator<string, void> {
  yield sessionKey(id)
  for await (const key of listKeys(backend, uploadPrefix(id), options)) {
    if (parseUploadKey(key) && key !== sessionKey(id)) yield key
  }
}

/**
 * Members are hints, which give nothing while the blob is gone, and would give it away when another
 * repository brings it back. Blobs are listed after a member was: one of yesterday had its blob before.
 */
async function* lostMembers(
  backend: StorageBackend,
  { now, abandonedAfterMs, signal }: LeftoverOptions,
): AsyncGenerator<string, void> {
  let stored: DigestSet | undefined
  for await (const { key, lastModified } of backend.list(REPOSITORIES_PREFIX, { signal })) {
    const member = parseRepositoryKey(key)
    if (member?.kind !== 'member' || lastModified.getTime() + abandonedAfterMs >= now) continue
    stored ??= await readStoredNames(backend, { signal })
    if (!stored.has(nameOf(member.digest))) yield key
  }
}

/**
 * An event is there to bring back what its record has, and an entry lists the referrer that it has.
 * Both are written after the record, so that one of yesterday had it. In the order of keys, the events
 * of a repository come right before its records.
 */
async function* lostWithRecords(
  backend: StorageBackend,
  { now, abandonedAfterMs, signal }: LeftoverOptions,
): AsyncGenerator<string, void> {
  let repository: string | undefined
  let events: { readonly key: string; readonly mark: string }[] = []
  let records = new Set<string>()
  const manifests = new DigestSet()
  const lost = (): readonly string[] =>
    events.flatMap(({ key, mark }) => (records.has(mark) ? [] : key))
  for await (const info of backend.list(REPOSITORIES_PREFIX, { signal })) {
    const key = parseRepositoryKey(info.key)
    if (!key) continue
    if (key.repository !== repository) {
      yield* lost()
      events = []
      records = new Set()
      repository = key.repository
    }
    if (key.kind === 'record' && events.length > 0) records.add(markOfRecord(key.digest))
    if (key.kind === 'record') manifests.add(within(repository, nameOf(key.digest)))
    const isOld = info.lastModified.getTime() + abandonedAfterMs < now
    // Entries come after the records, and are written after theirs.
    const isEntry = key.kind === 'referrer-entry' && isOld
    if (isEntry && !manifests.has(within(repository, nameOf(key.digest)))) yield info.key
    if (key.kind === 'tag-event' && isOld) events.push({ key: info.key, mark: markOfEvent(key.id) })
  }
  yield* lost()
}

/** Of blobs in every form: whole, of referrers, in chunks of both formats. */
async function readStoredNames(backend: StorageBackend, options: CallOptions): Promise<DigestSet> {
  const names = new DigestSet()
  for (const prefix of [BLOBS_PREFIX, REFERRER_BLOBS_PREFIX, RECIPES_PREFIX]) {
    for await (const key of listKeys(backend, prefix, options)) {
      const digest = digestBelow(prefix, key)
      if (digest !== undefined) names.add(nameOf(digest))
    }
  }
  for await (const key of listKeys(backend, CHUNK_RECIPES_PREFIX, options)) {
    const layer = parseChunkRecipeKey(key)
    if (layer !== undefined) names.add(nameOf(layer))
  }
  return names
}
