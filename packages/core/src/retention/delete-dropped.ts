import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import { manifestKey, sidecarKeys } from '../layout/keys.ts'
import type { Reference } from '../oci/reference.ts'
import { signatureKeys } from '../store/signature-records.ts'
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
    const { unchanged, sidecars, changed } = await look(backend, batch, { signal })
    const keys = unchanged.map((tag) => manifestKey(referenceOf(tag)))
    const failed = keys.length === 0 ? [] : await deleteInTime(backend, keys, { signal })
    const kept = new Set(failed.map(({ key }) => key))
    failures.push(...failed)
    rewritten.push(...changed)
    deleted.push(...unchanged.filter((tag) => !kept.has(manifestKey(referenceOf(tag)))))
    const orphaned = [...sidecars].flatMap(([manifest, own]) => (kept.has(manifest) ? [] : own))
    if (orphaned.length > 0) failures.push(...(await backend.delete(orphaned, { signal })))
  }
  return { deleted, rewritten, failures }
}

interface Looked {
  readonly unchanged: readonly DatedTag[]
  readonly changed: readonly DatedTag[]
  /** By the key of the manifest. */
  readonly sidecars: ReadonlyMap<string, readonly string[]>
}

async function look(
  backend: StorageBackend,
  tags: readonly DatedTag[],
  { signal }: CallOptions,
): Promise<Looked> {
  const unchanged: DatedTag[] = []
  const changed: DatedTag[] = []
  const sidecars = new Map<string, readonly string[]>()
  await forEachConcurrent(
    tags,
    LOOKUPS_AT_ONCE,
    async (tag, taskSignal) => {
      const reference = referenceOf(tag)
      const key = manifestKey(reference)
      const signatures = signatureKeys(backend, reference, { signal: taskSignal })
      sidecars.set(key, [...sidecarKeys(reference), ...(await Array.fromAsync(signatures))])
      const info = await backend.head(key, { signal: taskSignal })
      // Dated by its object or by something later, so a later object is another write.
      const isRewritten = info !== undefined && info.lastModified > tag.time
      if (isRewritten) sidecars.delete(key)
      ;(isRewritten ? changed : unchanged).push(tag)
    },
    signal,
  )
  return { unchanged, changed, sidecars }
}

function referenceOf({ image, tag }: DatedTag): Reference {
  return { name: image, tag }
}
