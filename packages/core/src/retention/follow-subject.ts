import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { LiveContent } from '../gc/live-content.ts'
import type { TagName } from '../layout/parse-key.ts'
import { isReferrerTag, subjectOf } from '../oci/referrer-tag.ts'
import { droppedTags, type RetentionPlan, type TagVerdict } from './plan.ts'

export interface FollowOptions extends CallOptions {
  /** Milliseconds since 1970. */
  readonly now: number
  /** A signature may be pushed before its image (milliseconds). */
  readonly graceMs: number
}

/**
 * Tags that are about another image (cosign's signatures, an index of referrers) go when that image
 * does, and stay as long as a tag that stays names it, itself or in an index. They stay as well
 * while a manifest of the store cannot be read.
 */
export async function followSubjects(
  backend: StorageBackend,
  plan: RetentionPlan,
  { now, graceMs, signal }: FollowOptions,
): Promise<RetentionPlan> {
  const tags = plan.images
    .filter(({ kind }) => kind !== 'immutable')
    .flatMap(({ verdicts }) => verdicts.map(({ tag }) => tag))
    .filter(({ tag }) => isReferrerTag(tag))
  if (tags.length === 0) return plan
  const dropped = new Set([...droppedTags(plan)].map(({ tag }) => keyOf(tag)))
  const lost = await findLost(backend, tags, dropped, { signal })
  if (!lost) return plan
  const judge = (verdict: TagVerdict): TagVerdict => {
    const { tag } = verdict
    if (!isReferrerTag(tag.tag)) return verdict
    if (!lost.has(keyOf(tag))) {
      return { ...verdict, rule: 'subject', keep: true, reason: 'its image stays' }
    }
    if (tag.time.getTime() + graceMs > now) return verdict
    return { ...verdict, rule: 'subject', keep: false, reason: 'its image goes' }
  }
  const images = plan.images.map((image) =>
    image.kind === 'immutable' ? image : { ...image, verdicts: image.verdicts.map(judge) },
  )
  return { ...plan, images }
}

/**
 * Which tags are about nothing that stays; `undefined` when that cannot be told. A tag that stays
 * may be what another one is about, and so may all that it lists: an attestation is signed too.
 */
async function findLost(
  backend: StorageBackend,
  tags: readonly TagName[],
  dropped: ReadonlySet<string>,
  { signal }: CallOptions,
): Promise<ReadonlySet<string> | undefined> {
  const lost = new Map(tags.map((tag) => [keyOf(tag), subjectOf(tag.tag)]))
  const live = new LiveContent(backend, {
    without: (tag) => dropped.has(keyOf(tag)) || lost.has(keyOf(tag)),
  })
  for (let before = -1; lost.size > 0 && before !== lost.size;) {
    before = lost.size
    await live.scan({ signal })
    if (live.unreadable.length > 0) return undefined
    for (const [key, subject] of lost) if (live.hasManifest(subject)) lost.delete(key)
  }
  return new Set(lost.keys())
}

function keyOf({ image, tag }: TagName): string {
  return `${image}:${tag}`
}
