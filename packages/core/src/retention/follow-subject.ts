import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { LiveContent } from '../gc/live-content.ts'
import { nameOf } from '../gc/name-set.ts'
import type { TagName } from '../layout/keys.ts'
import { isFallbackTag, subjectOf } from '../oci/fallback-tag.ts'
import { readTagManifest } from '../store/manifests.ts'
import { droppedTags, type RetentionPlan, type TagVerdict } from './plan.ts'

export interface FollowOptions extends CallOptions {
  /** Milliseconds since 1970. */
  readonly now: number
  /** A signature may be pushed before its image (milliseconds). */
  readonly graceMs: number
}

const READS_AT_ONCE = 20

/**
 * Tags that are about another image (cosign's signatures, an index of referrers) go when that image
 * does, and stay as long as one tag of the store names it, itself or in an index. They stay as well
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
    .filter(({ tag }) => isFallbackTag(tag))
  if (tags.length === 0) return plan
  const dropped = new Set([...droppedTags(plan)].map(({ tag }) => keyOf(tag)))
  const live = new LiveContent(backend, {
    without: (tag) => dropped.has(keyOf(tag)) || isFallbackTag(tag.tag),
  })
  await live.scan({ signal })
  if (live.unreadable.length > 0) return plan
  const { lost, kept } = await divide(backend, tags, live, { signal })
  const gone = new Set(
    lost.filter(({ time }) => time.getTime() + graceMs <= now).map((tag) => keyOf(tag)),
  )
  const judge = (verdict: TagVerdict): TagVerdict => {
    const key = keyOf(verdict.tag)
    if (gone.has(key)) return { ...verdict, rule: 'subject', keep: false, reason: 'its image goes' }
    if (!kept.has(key)) return verdict
    return { ...verdict, rule: 'subject', keep: true, reason: 'its image stays' }
  }
  const images = plan.images.map((image) => ({ ...image, verdicts: image.verdicts.map(judge) }))
  return { ...plan, images }
}

interface Divided<T> {
  readonly lost: readonly T[]
  /** Keys. */
  readonly kept: ReadonlySet<string>
}

/** What is about something that is kept, which may itself be about something: an attestation is signed too. */
async function divide<T extends TagName>(
  backend: StorageBackend,
  tags: readonly T[],
  live: LiveContent,
  { signal }: CallOptions,
): Promise<Divided<T>> {
  const kept = new Set<string>()
  const manifests = new Set<string>()
  let lost = tags
  for (let before = -1; before !== kept.size;) {
    before = kept.size
    const found = lost.filter(({ tag }) => {
      const subject = subjectOf(tag)
      return live.has({ name: '', subject }) || manifests.has(subject)
    })
    for (const tag of found) kept.add(keyOf(tag))
    lost = lost.filter((tag) => !kept.has(keyOf(tag)))
    // Only where there is somebody left who may be about one of them.
    if (lost.length === 0) break
    await forEachConcurrent(
      found,
      READS_AT_ONCE,
      async ({ image, tag }, taskSignal) => {
        const reference = { name: image, tag }
        const document = await readTagManifest(backend, reference, { signal: taskSignal })
        if (document) manifests.add(nameOf(document.descriptor.digest))
      },
      signal,
    )
  }
  return { lost, kept }
}

function keyOf({ image, tag }: TagName): string {
  return `${image}:${tag}`
}
