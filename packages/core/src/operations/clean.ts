import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import type { BucketConfig } from '../config/bucket-config.ts'
import { keepUntaggedMs } from '../config/keep-untagged.ts'
import {
  collectGarbage,
  type CollectOptions,
  type CollectResult,
  DEFAULT_GRACE_MS,
} from '../gc/collector.ts'
import { endParticipants } from '../gc/participants.ts'
import { peekTime, readTime } from '../gc/store-clock.ts'
import { recordCensus, takeCensus, type TakenCensus } from '../gc/tag-census.ts'
import { formatStore } from '../layout/format-store.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import { deleteDropped } from '../retention/delete-dropped.ts'
import { followSubjects } from '../retention/follow-subject.ts'
import { droppedTags, isJudged, planRetention, type RetentionPlan } from '../retention/plan.ts'
import type { DatedTag } from '../retention/rule.ts'
import { readDatedTags } from '../retention/tag-time.ts'
import type { ImageStore } from '../store/image-store.ts'
import {
  type CleanedImage,
  type CleanedObject,
  type CleanedTag,
  type CleanResult,
  figuresOf,
  toCleanedImage,
} from './clean-result.ts'
import type { Prices } from './prices.ts'
import { UntaggedTally } from './untagged.ts'

export interface CleanOptions extends CallOptions, ProgressOptions {
  /** Deletes; otherwise nothing is changed and the result says what would be. */
  readonly confirm?: boolean | undefined
  /** `tags`: retention alone; `blobs`: collection alone. Default: both, tags first. */
  readonly only?: 'tags' | 'blobs' | undefined
  /** Rules in place of those of the bucket. */
  readonly config?: BucketConfig | undefined
  /** Milliseconds that garbage stays for writers without pins (default an hour). */
  readonly graceMs?: number | undefined
  /** Tags (`image:tag`) that may be unreadable: what only they need is garbage. */
  readonly ignore?: readonly string[] | undefined
  /**
   * No writer of version 3 of the Go program runs, for certain: what it stored in chunks and nothing
   * needs is deleted too. Content is lost if one is still running.
   */
  readonly goWritersStopped?: boolean | undefined
  /** Cleans even if the store shows no tag, or fewer than half of those that the last clean saw. */
  readonly expectFewer?: boolean | undefined
  /**
   * Only ends pins and rounds, by their ids, whose processes have ended for certain: with `confirm`
   * they are removed, and nothing else is done. Content is lost if a process is still running.
   */
  readonly end?: readonly string[] | undefined
  /** Fills `tags`, `untagged_images` and `objects`: one entry for each, so memory is as large as the store. */
  readonly explain?: boolean | undefined
  /** Default: {@link LIST_PRICES}. */
  readonly prices?: Prices | undefined
  /** The time that tags age by; default: the store's. */
  readonly now?: (() => number) | undefined
  /** Seconds a round lives, and milliseconds until what has expired counts as dead: for tests. */
  readonly protocol?:
    | Pick<CollectOptions, 'ttlSeconds' | 'marginMs' | 'delay' | 'leastKeptMs' | 'abandonedAfterMs'>
    | undefined
}

/**
 * Deletes the tags that the rules of a store drop, then the content that no tag needs. `filter`
 * (empty, or ending in `/`) narrows the tags; content is always judged bucket-wide. Safe beside
 * every push, copy and other clean of s3lo; a dry run writes nothing. Throws `INTEGRITY` where the
 * store shows content but not one tag, or fewer than half of the tags that the last clean saw.
 */
export async function clean(
  store: ImageStore,
  filter = '',
  options: CleanOptions = {},
): Promise<CleanResult> {
  const { confirm = false, only, explain = false, expectFewer, end = [], signal } = options
  if (end.length > 0) return endOnly(store, filter, end, options)
  const count = (counted?: number): Promise<TakenCensus> =>
    takeCensus(store.backend, { expectFewer, counted, signal })
  // A dry run counts by a listing that it needs anyway; what deletes does so before anything else.
  const isCounted = !confirm && filter === '' && only !== 'blobs'
  const early = isCounted ? undefined : await count()
  const rules = options.config ?? (await store.config({ signal }))
  const listed = only === 'blobs' ? undefined : await listTags(store, filter, rules, options)
  const before = early ?? (await count(listed && tagCount(listed)))
  const failures: DeleteFailure[] = []
  const objects: CleanedObject[] = []
  const images: CleanedImage[] = []
  const untagged = new UntaggedTally()
  const plan = listed ? await planTags(store, listed, rules, options) : NO_PLAN
  const dropped = [...droppedTags(plan)].map(({ tag }) => tag)
  const gone = confirm ? await deleteDropped(store, dropped, options) : undefined
  failures.push(...(gone?.failures ?? []))
  for (const { image, tag } of gone?.rewritten ?? []) {
    notify(options, 'tag-rewritten', `${image}:${tag} was pushed meanwhile and stays`)
  }
  const census = { tags: before.tags - (gone?.deleted.length ?? 0) }
  const undated = undatedTags(plan)
  const collected =
    only === 'tags'
      ? undefined
      : await collect(store.backend, options, {
          // The word of the operator holds for tags that are deleted meanwhile, too.
          census: expectFewer ? undefined : census,
          listed:
            isCounted && listed ? { blobs: listed.tags.length, bytes: listed.bytes } : undefined,
          keepUntagged: (repository) => keepUntaggedMs(rules, repository),
          onObject: ({ key, size, outcome }) => {
            if (outcome.kind === 'failed') failures.push(outcome.failure)
            if (explain) objects.push({ key, size, outcome: outcome.kind })
          },
          onUntagged: (image) => {
            if (image.outcome === 'kept') untagged.add(image.expiresAt)
            if (explain) images.push(toCleanedImage(image))
          },
        })
  const held = untagged.figures(collected?.heldBytes ?? 0)
  if (confirm) {
    await recordCensus(store.backend, (collected ?? census).tags, before, { signal })
  }
  return {
    ref: formatStore(store.backend, filter),
    dry_run: !confirm,
    tags_evaluated: plan.evaluated,
    tags_deleted: gone ? gone.deleted.length : dropped.length,
    images_immutable: plan.skippedImmutable,
    ...(undated.length > 0 ? { undated } : {}),
    ...figuresOf(collected, options),
    ...(held ? { untagged: held } : {}),
    failed: failures.map(({ key, error }) => ({ key, message: error.message })),
    ...(explain ? { tags: explained(plan), untagged_images: images, objects } : {}),
  }
}

async function endOnly(
  store: ImageStore,
  filter: string,
  ids: readonly string[],
  options: CleanOptions,
): Promise<CleanResult> {
  const { confirm = false, now: clock, signal } = options
  const now = clock?.() ?? (await peekTime(store.backend, { signal }))
  const ended = await endParticipants(store.backend, ids, { now, confirm, signal })
  return {
    ref: formatStore(store.backend, filter),
    dry_run: !confirm,
    tags_evaluated: 0,
    tags_deleted: 0,
    images_immutable: 0,
    ...figuresOf(undefined, options),
    failed: [],
    ended,
  }
}

const NO_PLAN: RetentionPlan = { images: [], evaluated: 0, skippedImmutable: 0 }

interface ListedTags {
  readonly tags: readonly DatedTag[]
  /** Of their manifests. */
  readonly bytes: number
  /** When they were listed, milliseconds since 1970. */
  readonly now: number
}

/** `undefined` where a tag may be in both layouts: the census counts that twice. */
function tagCount({ tags }: ListedTags): number | undefined {
  return tags.some(({ legacy }) => legacy) ? undefined : tags.length
}

async function listTags(
  store: ImageStore,
  filter: string,
  rules: BucketConfig,
  { confirm, now: clock, signal, onProgress }: CleanOptions,
): Promise<ListedTags> {
  const readNow = confirm ? readTime : peekTime
  const now = clock?.() ?? (await readNow(store.backend, { signal, onProgress }))
  let bytes = 0
  const tags = await readDatedTags(store.backend, filter, {
    now,
    isWanted: ({ image, tag }) => isJudged(rules, image) && !isReferrerTag(tag),
    onManifest: ({ size }) => void (bytes += size),
    signal,
  })
  return { tags, bytes, now }
}

async function planTags(
  store: ImageStore,
  { tags, now }: ListedTags,
  rules: BucketConfig,
  { graceMs = DEFAULT_GRACE_MS, signal }: CleanOptions,
): Promise<RetentionPlan> {
  const plan = planRetention(tags, rules, now)
  return followSubjects(store.backend, plan, { now, graceMs, signal })
}

async function collect(
  backend: StorageBackend,
  options: CleanOptions,
  hooks: Pick<CollectOptions, 'census' | 'listed' | 'keepUntagged' | 'onObject' | 'onUntagged'>,
): Promise<CollectResult> {
  const { confirm, graceMs, goWritersStopped, ignore, now, protocol, signal, onProgress } = options
  const result = await collectGarbage(backend, {
    ...protocol,
    ...hooks,
    confirm,
    graceMs,
    goWritersStopped,
    ignore,
    now,
    signal,
    onProgress,
  })
  if (result.legacyTrace && !goWritersStopped) {
    const message =
      `${result.legacyTrace.key} was written by a program that does not tell what it re-uses: ` +
      'what it finds and does not upload again can be lost while this deletes it'
    notify(options, 'legacy-writers', message)
  }
  return result
}

function undatedTags({ images }: RetentionPlan): NonNullable<CleanResult['undated']> {
  return images.flatMap(({ verdicts }) =>
    verdicts.flatMap(({ tag: { image, tag, undated } }) =>
      undated ? [{ image: `${image}:${tag}`, message: undated.message }] : [],
    ),
  )
}

function explained({ images }: RetentionPlan): readonly CleanedTag[] {
  return images.flatMap(({ verdicts }) =>
    verdicts.map(({ tag: { image, tag, time }, keep, rule, reason }) => ({
      image,
      tag,
      written_at: `${time.toISOString().slice(0, 19)}Z`,
      keep,
      rule,
      reason,
    })),
  )
}

function notify({ onProgress }: ProgressOptions, code: string, message: string): void {
  onProgress?.({ type: 'notice', code, message })
}
