import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { parseRepositoryKey, REPOSITORIES_PREFIX } from '../layout/repository-keys.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { listRecords } from '../store/records.ts'
import { inOrder } from './event-order.ts'
import {
  listTagEvents,
  readTagEvent,
  type TagEvent,
  type TagEventName,
} from '../store/tag-events.ts'

/** What a repository remembers of its tags. */
export interface RepositoryMemory {
  readonly repository: string
  /** By tag, oldest first. */
  readonly events: readonly TagEvent[]
  /** Its records by their digests. */
  readonly records: ReadonlyMap<string, ObjectInfo>
}

export interface MemoryScope {
  /** Default: every repository of the store. */
  readonly repository?: string
  /** Default: every tag. */
  readonly tag?: string
}

const READS_AT_ONCE = 16

/** What happened to the tags of a repository, by tag, oldest first. What cannot be read is left out. */
export async function readTagEvents(
  store: ImageStore,
  scope: Required<Pick<MemoryScope, 'repository'>> & MemoryScope,
  options: CallOptions = {},
): Promise<readonly TagEvent[]> {
  return readEvents(
    store,
    await Array.fromAsync(listTagEvents(store.backend, scope, options)),
    options,
  )
}

/**
 * Reads what repositories remember, one repository after the other; those that remember nothing are
 * left out. An event that cannot be read is left out as well.
 */
export async function* readRepositories(
  store: ImageStore,
  { repository, tag }: MemoryScope,
  options: CallOptions = {},
): AsyncGenerator<RepositoryMemory, void> {
  if (repository !== undefined) {
    const names = await Array.fromAsync(
      listTagEvents(store.backend, { repository, ...(tag === undefined ? {} : { tag }) }, options),
    )
    const records = new Map<string, ObjectInfo>()
    if (names.length === 0) return
    for await (const { digest, info } of listRecords(store.backend, repository, options)) {
      records.set(digest, info)
    }
    yield { repository, events: await readEvents(store, names, options), records }
    return
  }
  let names: TagEventName[] = []
  let records = new Map<string, ObjectInfo>()
  const finish = async function* (): AsyncGenerator<RepositoryMemory, void> {
    const [first] = names
    if (!first) return
    const events = await readEvents(store, names, options)
    yield { repository: first.repository, events, records }
  }
  let current: string | undefined
  // In the order of keys, what a repository has comes together: its events, then its records.
  for await (const info of store.backend.list(REPOSITORIES_PREFIX, options)) {
    const key = parseRepositoryKey(info.key)
    if (!key) continue
    if (key.repository !== current) {
      yield* finish()
      names = []
      records = new Map()
      current = key.repository
    }
    if (key.kind === 'tag-event') names.push({ ...key, key: info.key })
    else if (key.kind === 'record' && names.length > 0) records.set(key.digest, info)
  }
  yield* finish()
}

async function readEvents(
  store: ImageStore,
  names: readonly TagEventName[],
  { signal }: CallOptions,
): Promise<readonly TagEvent[]> {
  const events = new Map<number, TagEvent>()
  await forEachConcurrent(
    names.entries(),
    READS_AT_ONCE,
    async ([i, name], taskSignal) => {
      const call = { signal: taskSignal }
      const event = await orImageFault(() => readTagEvent(store.backend, name, call))
      if (event && !isS3loError(event)) events.set(i, event)
    },
    signal,
  )
  return inOrder(names.flatMap((_, i) => events.get(i) ?? []))
}
