import type { BucketConfig, LifecycleMode } from '../config/bucket-config.ts'
import { parseDuration } from '../config/duration.ts'
import { type EffectiveConfig, effectiveConfig } from '../config/effective-config.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import { keepLast } from './keep-last.ts'
import { keepTags } from './keep-tags.ts'
import { maxAge } from './max-age.ts'
import type { DatedTag, RetentionRule, RuleContext, RuleName, RuleVerdict } from './rule.ts'

/** Which rule keeps or drops a tag, and why. */
export interface TagVerdict extends RuleVerdict {
  readonly tag: DatedTag
  /**
   * `immutable`, `undated` and `none`: nothing was judged, the tag stays. `subject`: it is about
   * another image and goes with it.
   */
  readonly rule: RuleName | 'subject' | 'immutable' | 'undated' | 'none'
}

/** The verdicts on the tags of one image, newest first. */
interface ImagePlan {
  readonly image: string
  /** `immutable`: no rule applies to it. `unconfigured`: there is no rule for it. */
  readonly kind: 'judged' | 'immutable' | 'unconfigured'
  readonly verdicts: readonly TagVerdict[]
}

/** What retention keeps and drops, before anything is deleted. */
export interface RetentionPlan {
  /** By image name. */
  readonly images: readonly ImagePlan[]
  /** Tags of images that a rule applies to. */
  readonly evaluated: number
  /** Images that are passed over because they are immutable. */
  readonly skippedImmutable: number
}

/**
 * Judges every tag by what the bucket's configuration says of its image. Pure: the same tags,
 * configuration and `now` (milliseconds since 1970) give the same plan.
 */
export function planRetention(
  tags: Iterable<DatedTag>,
  config: BucketConfig,
  now: number,
): RetentionPlan {
  const byImage = Map.groupBy(tags, ({ image }) => image)
  const names = [...byImage.keys()].sort(compare)
  const images = names.map((image) =>
    planImage(image, byImage.get(image) ?? [], effectiveConfig(config, image), now),
  )
  const judged = images.filter(({ kind }) => kind === 'judged')
  return {
    images,
    evaluated: judged.reduce((count, { verdicts }) => count + verdicts.length, 0),
    skippedImmutable: images.filter(({ kind }) => kind === 'immutable').length,
  }
}

/** The tags that a plan drops. */
export function* droppedTags({ images }: RetentionPlan): Generator<TagVerdict, void> {
  for (const { verdicts } of images) yield* verdicts.filter(({ keep }) => !keep)
}

/** True when a rule may drop a tag of an image: its tags have to be dated. */
export function isJudged(config: BucketConfig, image: string): boolean {
  return kindOf(effectiveConfig(config, image)) === 'judged'
}

function planImage(
  image: string,
  tags: readonly DatedTag[],
  config: EffectiveConfig,
  now: number,
): ImagePlan {
  const kind = kindOf(config)
  const sorted = tags.toSorted(newestFirst)
  if (kind !== 'judged') {
    const rule = kind === 'immutable' ? 'immutable' : 'none'
    const reason = kind === 'immutable' ? 'the image is immutable' : 'no rule is set'
    return { image, kind, verdicts: sorted.map((tag) => ({ tag, rule, keep: true, reason })) }
  }
  const verdicts: TagVerdict[] = []
  let newerKept = 0
  for (const tag of sorted) {
    if (isReferrerTag(tag.tag)) {
      verdicts.push({ tag, rule: 'none', keep: true, reason: 'it is about another image' })
      continue
    }
    const verdict = judge(tag, config, { now, newerKept })
    verdicts.push(verdict)
    if (verdict.keep && verdict.rule !== 'keep_tags' && verdict.rule !== 'undated') newerKept++
  }
  return { image, kind, verdicts }
}

function kindOf(config: EffectiveConfig): ImagePlan['kind'] {
  if (config.immutable?.value) return 'immutable'
  const { keepLast: last, maxAge: age, keepTags: names } = config
  return last || age || names ? 'judged' : 'unconfigured'
}

function judge(tag: DatedTag, config: EffectiveConfig, context: RuleContext): TagVerdict {
  if (tag.undated) {
    const reason = `its date is not known: ${tag.undated.message}`
    return { tag, rule: 'undated', keep: true, reason }
  }
  const names = keepTags(config.keepTags?.value ?? [])
  const byName = names.judge(tag, context)
  if (byName) return { tag, rule: names.name, ...byName }
  const opinions = [lastRule(config), ageRule(config)].flatMap((rule) => {
    const verdict = rule?.judge(tag, context)
    return rule && verdict ? [{ tag, rule: rule.name, ...verdict }] : []
  })
  const decisive = DECIDE[config.mode?.value ?? 'floor'](opinions)
  return decisive ?? { tag, rule: 'none', keep: true, reason: 'no rule drops it' }
}

/** Which of the opinions of `keep_last` and `max_age`, in this order, counts. */
const DECIDE: Readonly<
  Record<LifecycleMode, (opinions: readonly TagVerdict[]) => TagVerdict | undefined>
> = {
  /** The newest stay at any age; below them age decides where it is set. */
  floor: (opinions) =>
    opinions.find(({ rule, keep }) => rule === 'keep_last' && keep) ?? opinions.at(-1),
  /** One rule that drops the tag is enough. */
  either: (opinions) => opinions.find(({ keep }) => !keep) ?? opinions[0],
}

function lastRule(config: EffectiveConfig): RetentionRule | undefined {
  return config.keepLast && keepLast(config.keepLast.value)
}

/** An age of zero or less is no rule. */
function ageRule(config: EffectiveConfig): RetentionRule | undefined {
  const ageMs = config.maxAge ? parseDuration(config.maxAge.value) : 0
  return ageMs > 0 ? maxAge(ageMs) : undefined
}

/** Tags of the same moment by name, the greater first: `v2` before `v1`. */
function newestFirst(a: DatedTag, b: DatedTag): number {
  return b.time.getTime() - a.time.getTime() || compare(b.tag, a.tag)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
