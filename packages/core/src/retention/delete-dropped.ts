import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { deleteInTime } from '../gc/delete-in-time.ts'
import type { ProtectionOptions } from '../gc/protection.ts'
import { manifestKey } from '../layout/keys.ts'
import type { Reference } from '../oci/reference.ts'
import { type PresentTag, readPresentTag } from '../store/displace.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { removeTags, whileDisplacing } from '../store/remove-tags.ts'
import { companionKeys, type LegacyFiles, readLegacyFiles } from '../store/tag-files.ts'
import type { DatedTag } from './rule.ts'

/** What became of tags that were to be deleted. */
export interface DeletedTags {
  readonly deleted: readonly DatedTag[]
  /** Tags that were written after the plan was made: they stay. */
  readonly rewritten: readonly DatedTag[]
  readonly failures: readonly DeleteFailure[]
}

export interface DeleteDroppedOptions extends CallOptions, Pick<ProtectionOptions, 'ttlSeconds'> {}

/** Tags of one request: they are looked at again just before it. */
const TAGS_PER_REQUEST = 200
const LOOKUPS_AT_ONCE = 20

/**
 * Deletes tags as `delete` does: manifests first, once the records of their images are written anew,
 * then what belongs to them by exact name. One that was written again since it was dated is passed over.
 */
export async function deleteDropped(
  store: Pick<ImageStore, 'backend' | 'blobs'>,
  tags: readonly DatedTag[],
  options: DeleteDroppedOptions = {},
): Promise<DeletedTags> {
  const deleted: DatedTag[] = []
  const rewritten: DatedTag[] = []
  const failures: DeleteFailure[] = []
  for (let start = 0; start < tags.length; start += TAGS_PER_REQUEST) {
    const batch = await deleteBatch(store, tags.slice(start, start + TAGS_PER_REQUEST), options)
    deleted.push(...batch.deleted)
    rewritten.push(...batch.rewritten)
    failures.push(...batch.failures)
  }
  return { deleted, rewritten, failures }
}

async function deleteBatch(
  store: Pick<ImageStore, 'backend' | 'blobs'>,
  tags: readonly DatedTag[],
  { ttlSeconds, signal }: DeleteDroppedOptions,
): Promise<DeletedTags> {
  const { backend } = store
  const { unchanged, rewritten, failures: unread } = await look(backend, tags, { signal })
  const hidden = unchanged.flatMap(({ legacy }) => legacy?.manifest.key ?? [])
  const failures: DeleteFailure[] = [...unread]
  if (hidden.length > 0) failures.push(...(await deleteInTime(backend, hidden, { signal })))
  const present = unchanged.flatMap(({ present: tag }) => tag ?? [])
  const removal = await whileDisplacing(store, { who: 'clean', ttlSeconds, signal }, (place) =>
    removeTags(place, present, { reason: 'expired', signal }),
  )
  failures.push(...removal.failures)
  const stayed = new Set(failures.map(({ key }) => key))
  const changed = new Set(removal.changed)
  const gone = unchanged.filter(
    ({ present: tag, legacy }) =>
      !(tag && (changed.has(tag) || stayed.has(tag.info.key))) &&
      !(legacy && stayed.has(legacy.manifest.key)),
  )
  const orphaned = gone.flatMap(({ others }) => others)
  if (orphaned.length > 0) failures.push(...(await backend.delete(orphaned, { signal })))
  return {
    deleted: gone.map(({ tag }) => tag),
    rewritten: [
      ...rewritten,
      ...unchanged.filter(({ present: tag }) => tag && changed.has(tag)).map(({ tag }) => tag),
    ],
    failures,
  }
}

/** A tag with all its files. */
interface WholeTag {
  readonly tag: DatedTag
  readonly present: PresentTag | undefined
  readonly legacy: LegacyFiles | undefined
  readonly others: readonly string[]
}

interface Looked {
  readonly unchanged: readonly WholeTag[]
  readonly rewritten: readonly DatedTag[]
  /** What cannot be read cannot be kept by its digest either, and stays a tag. */
  readonly failures: readonly DeleteFailure[]
}

async function look(
  backend: StorageBackend,
  tags: readonly DatedTag[],
  { signal }: CallOptions,
): Promise<Looked> {
  const unchanged: WholeTag[] = []
  const rewritten: DatedTag[] = []
  const failures: DeleteFailure[] = []
  await forEachConcurrent(
    tags,
    LOOKUPS_AT_ONCE,
    async (tag, taskSignal) => {
      const call = { signal: taskSignal }
      const reference = referenceOf(tag)
      const companions = await companionKeys(backend, reference, call)
      const legacy = tag.legacy ? await readLegacyFiles(backend, reference, call) : undefined
      const present = await orImageFault(() => readPresentTag(backend, reference, call))
      if (isS3loError(present)) {
        failures.push({ key: manifestKey(reference), error: present })
        return
      }
      // Dated by its object or by something later, so a later object is another write.
      if (present && present.info.lastModified > tag.time) rewritten.push(tag)
      else {
        const others = [...companions, ...(legacy?.others ?? []).map(({ key }) => key)]
        unchanged.push({ tag, present, legacy, others })
      }
    },
    signal,
  )
  return { unchanged, rewritten, failures }
}

function referenceOf({ image, tag }: DatedTag): Reference {
  return { name: image, tag }
}
