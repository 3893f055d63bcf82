import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import { manifestKey } from '../layout/keys.ts'
import type { Reference } from '../oci/reference.ts'
import { companionKeys, readLegacyFiles } from '../store/tag-files.ts'
import type { DatedTag } from './rule.ts'

/** What became of tags that were to be deleted. */
export interface DeletedTags {
  readonly deleted: readonly DatedTag[]
  /** Tags that were written after the plan was made: they stay. */
  readonly rewritten: readonly DatedTag[]
  readonly failures: readonly DeleteFailure[]
}

/** Tags of one request: they are looked at again just before it. */
const TAGS_PER_REQUEST = 200
const LOOKUPS_AT_ONCE = 20

/**
 * Deletes tags as `delete` does: manifests first, then what belongs to them by exact name. One that
 * was written again since it was dated is passed over.
 */
export async function deleteDropped(
  backend: StorageBackend,
  tags: readonly DatedTag[],
  { signal }: CallOptions = {},
): Promise<DeletedTags> {
  const deleted: DatedTag[] = []
  const rewritten: DatedTag[] = []
  const failures: DeleteFailure[] = []
  for (let start = 0; start < tags.length; start += TAGS_PER_REQUEST) {
    const batch = tags.slice(start, start + TAGS_PER_REQUEST)
    const { unchanged, changed } = await look(backend, batch, { signal })
    const keys = unchanged.flatMap(({ manifests }) => manifests)
    const failed = keys.length === 0 ? [] : await deleteInTime(backend, keys, { signal })
    const kept = new Set(failed.map(({ key }) => key))
    failures.push(...failed)
    rewritten.push(...changed)
    const gone = unchanged.filter(({ manifests }) => !manifests.some((key) => kept.has(key)))
    deleted.push(...gone.map(({ tag }) => tag))
    const orphaned = gone.flatMap(({ others }) => others)
    if (orphaned.length > 0) failures.push(...(await backend.delete(orphaned, { signal })))
  }
  return { deleted, rewritten, failures }
}

/** A tag with the keys of all its files. */
interface WholeTag {
  readonly tag: DatedTag
  /** What publishes it. */
  readonly manifests: readonly string[]
  readonly others: readonly string[]
}

interface Looked {
  readonly unchanged: readonly WholeTag[]
  readonly changed: readonly DatedTag[]
}

async function look(
  backend: StorageBackend,
  tags: readonly DatedTag[],
  { signal }: CallOptions,
): Promise<Looked> {
  const unchanged: WholeTag[] = []
  const changed: DatedTag[] = []
  await forEachConcurrent(
    tags,
    LOOKUPS_AT_ONCE,
    async (tag, taskSignal) => {
      const call = { signal: taskSignal }
      const reference = referenceOf(tag)
      const companions = await companionKeys(backend, reference, call)
      const legacy = tag.legacy ? await readLegacyFiles(backend, reference, call) : undefined
      const info = await backend.head(manifestKey(reference), call)
      // Dated by its object or by something later, so a later object is another write.
      const isRewritten = info !== undefined && info.lastModified > tag.time
      if (isRewritten) changed.push(tag)
      else {
        unchanged.push({
          tag,
          manifests: [manifestKey(reference), ...(legacy ? [legacy.manifest.key] : [])],
          others: [...companions, ...(legacy?.others ?? []).map(({ key }) => key)],
        })
      }
    },
    signal,
  )
  return { unchanged, changed }
}

function referenceOf({ image, tag }: DatedTag): Reference {
  return { name: image, tag }
}
