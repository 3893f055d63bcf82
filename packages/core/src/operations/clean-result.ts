import { S3loError } from '../errors.ts'
import type { CollectResult } from '../gc/collector.ts'
import type { Participant } from '../gc/participants.ts'
import type { UntaggedImage } from '../gc/record-collector.ts'
import { LIST_PRICES, type Prices } from './prices.ts'
import { isoOf, type UntaggedFigures } from './untagged.ts'

/** Which rule keeps or drops a tag, and why. */
export interface CleanedTag {
  readonly image: string
  readonly tag: string
  readonly written_at: string
  readonly keep: boolean
  readonly rule: string
  readonly reason: string
}

/** An object that nothing needs, and what was done about it. */
export interface CleanedObject {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** `deleted`, `would-delete`, `recent`, `condemned`, `pinned`, `go-writers` or `failed`. */
  readonly outcome: string
}

/** An image that no tag and no index names, and what was done about it. */
export interface CleanedImage {
  readonly image: string
  readonly digest: string
  /** When it was last pushed, or lost its tag. */
  readonly untagged_since: string
  /** `kept`, `deleted` or `would-delete`. */
  readonly outcome: string
  /** Absent for never. */
  readonly expires_at?: string
}

/** An object, and what is wrong with it. */
interface KeyFailure {
  readonly key: string
  readonly message: string
}

/** What a clean did, or would do; field names are those of `--output json`, sizes are bytes. */
export interface CleanResult {
  readonly ref: string
  readonly dry_run: boolean
  /** Tags of images that a rule applies to. */
  readonly tags_evaluated: number
  readonly tags_deleted: number
  /** Images that were passed over because they are immutable. */
  readonly images_immutable: number
  /** Objects of content that were looked at. */
  readonly scanned: number
  /** Objects of content that nothing needs: blobs, chunks, what is recorded about layers, referrers. */
  readonly deleted: number
  /** The same as `deleted`, by the name that the Go program gives it. */
  readonly blobs_deleted: number
  readonly freed_bytes: number
  /** What they cost a month, in the currency of the prices. */
  readonly freed_monthly: number
  /** Garbage that stays for now: it, or its being garbage, is younger than the grace period. */
  readonly skipped_recent: number
  /** Garbage that a push or copy has named. */
  readonly skipped_pinned: number
  /** Manifests that were kept by their digests and have expired. */
  readonly records_deleted: number
  /** What untagged images hold, and until when; absent where there is none, and with `only: 'tags'`. */
  readonly untagged?: UntaggedFigures
  readonly uploads_aborted: number
  /** Dead pins and rounds, and what crashed writers left. */
  readonly leftovers_removed: number
  /**
   * Tags that stay because a file of theirs cannot be read, so that their date is not known; absent
   * where there is none.
   */
  readonly undated?: readonly { readonly image: string; readonly message: string }[]
  /** Manifests that cannot be read: while there is one, no blob is deleted. */
  readonly unreadable: readonly { readonly image: string; readonly message: string }[]
  /** Recipes of layers in chunks that cannot be read: while there is one, no chunk is deleted. */
  readonly unreadable_recipes?: readonly KeyFailure[]
  /**
   * What version 3 of the Go program stored in chunks, is garbage, and stays without the operator's
   * word; absent where there is none.
   */
  readonly go_garbage?: { readonly objects: number; readonly bytes: number }
  readonly failed: readonly KeyFailure[]
  /** With `end`: what was ended, or would be. */
  readonly ended?: readonly Participant[]
  /** With `explain`. */
  readonly tags?: readonly CleanedTag[]
  /** With `explain`. */
  readonly untagged_images?: readonly CleanedImage[]
  /** With `explain`. */
  readonly objects?: readonly CleanedObject[]
}

/** What a collection did, as the fields of a clean; without one, nothing. */
export function figuresOf(
  result: CollectResult | undefined,
  { prices = LIST_PRICES }: { readonly prices?: Prices | undefined },
): Omit<
  CleanResult,
  'ref' | 'dry_run' | 'tags_evaluated' | 'tags_deleted' | 'images_immutable' | 'undated' | 'failed'
> {
  const deleted = result?.deleted ?? 0
  const freed = result?.freedBytes ?? 0
  return {
    scanned: result?.scanned ?? 0,
    deleted,
    blobs_deleted: deleted,
    freed_bytes: freed,
    freed_monthly: (freed / 2 ** 30) * prices.s3_gib_month,
    skipped_recent: (result?.recent ?? 0) + (result?.condemned ?? 0),
    skipped_pinned: result?.pinned ?? 0,
    records_deleted: result?.recordsDeleted ?? 0,
    uploads_aborted: result?.uploadsAborted ?? 0,
    leftovers_removed: result
      ? result.pinsRemoved + result.roundsRemoved + result.leftoversRemoved
      : 0,
    unreadable: (result?.unreadable ?? []).map(({ name, error }) => ({
      image: name,
      message: error.message,
    })),
    ...chunkFigures(result),
  }
}

function chunkFigures(
  result: CollectResult | undefined,
): Pick<CleanResult, 'unreadable_recipes' | 'go_garbage'> {
  const { unreadableRecipes = [], goGarbage = { objects: 0, bytes: 0 } } = result ?? {}
  const recipes = unreadableRecipes.map(({ name, error: { message } }) => ({ key: name, message }))
  return {
    ...(recipes.length > 0 ? { unreadable_recipes: recipes } : {}),
    ...(goGarbage.objects > 0 ? { go_garbage: goGarbage } : {}),
  }
}

export function toCleanedImage({
  repository,
  digest,
  info,
  outcome,
  expiresAt,
}: UntaggedImage): CleanedImage {
  return {
    image: repository,
    digest,
    untagged_since: isoOf(info.lastModified.getTime()),
    outcome,
    ...(expiresAt < Infinity ? { expires_at: isoOf(expiresAt) } : {}),
  }
}

/** Why a clean did not do all that it was to do; `undefined` when it did. */
export function cleanFailure({
  unreadable,
  unreadable_recipes: [recipe] = [],
  failed,
  ref,
}: CleanResult): S3loError | undefined {
  const [first] = unreadable
  if (first) {
    const others = unreadable.length > 1 ? ` and ${unreadable.length - 1} more` : ''
    return new S3loError(
      'INTEGRITY',
      `${first.image}${others} cannot be read, so no blob was deleted: ${first.message}`,
      {
        hint: `push it again, delete it, or leave it out: s3lo clean ${ref} --ignore ${first.image}`,
      },
    )
  }
  if (recipe) {
    return new S3loError('INTEGRITY', `no chunk was deleted: ${recipe.message}`, {
      hint: `push or copy an image with that layer again; it is one of those that doctor names: s3lo doctor ${ref}`,
    })
  }
  const [failure] = failed
  if (!failure) return undefined
  const message = `${failed.length} objects could not be deleted: ${failure.key}: ${failure.message}`
  return new S3loError('UNAVAILABLE', message, { hint: 'run it again to delete the rest' })
}
