import { describe, expect, it } from 'vitest'
import type { BucketConfig, LifecycleSettings } from '../../src/config/bucket-config.ts'
import { droppedTags, isJudged, planRetention } from '../../src/retention/plan.ts'
import type { DatedTag } from '../../src/retention/rule.ts'

const DAY = 24 * 3_600_000
const NOW = Date.UTC(2026, 5, 1)

function tagsOf(ages: Readonly<Record<string, number>>, image = 'app'): readonly DatedTag[] {
  return Object.entries(ages).map(([tag, days]) => ({
    image,
    tag,
    time: new Date(NOW - days * DAY),
  }))
}

const AGES = { v5: 1, v4: 100, v3: 200, v2: 300, v1: 400 }

function dropped(
  lifecycle: LifecycleSettings,
  ages: Readonly<Record<string, number>> = AGES,
  immutable = false,
): string {
  const config: BucketConfig = { default: { immutable, lifecycle }, images: {} }
  return [...droppedTags(planRetention(tagsOf(ages), config, NOW))]
    .map(({ tag }) => tag.tag)
    .join(' ')
}

interface Row {
  readonly rules: LifecycleSettings
  readonly floor: string
  readonly either: string
}

const TABLE: readonly Row[] = [
  { rules: {}, floor: '', either: '' },
  { rules: { keepLast: 2 }, floor: 'v3 v2 v1', either: 'v3 v2 v1' },
  { rules: { keepLast: 5 }, floor: '', either: '' },
  { rules: { keepLast: 9 }, floor: '', either: '' },
  { rules: { maxAge: '150d' }, floor: 'v3 v2 v1', either: 'v3 v2 v1' },
  { rules: { maxAge: '2400h' }, floor: 'v3 v2 v1', either: 'v3 v2 v1' },
  { rules: { keepLast: 3, maxAge: '90d' }, floor: 'v2 v1', either: 'v4 v3 v2 v1' },
  { rules: { keepLast: 1, maxAge: '250d' }, floor: 'v2 v1', either: 'v4 v3 v2 v1' },
  { rules: { keepLast: 4, maxAge: '250d' }, floor: 'v1', either: 'v2 v1' },
  { rules: { keepLast: 2, maxAge: '900d' }, floor: '', either: 'v3 v2 v1' },
  { rules: { keepTags: ['v1'] }, floor: '', either: '' },
  { rules: { keepLast: 2, keepTags: ['v5'] }, floor: 'v2 v1', either: 'v2 v1' },
  { rules: { maxAge: '150d', keepTags: ['v1'] }, floor: 'v3 v2', either: 'v3 v2' },
  { rules: { keepLast: 1, keepTags: ['v[12]'] }, floor: 'v4 v3', either: 'v4 v3' },
  { rules: { keepLast: 1, keepTags: ['*'] }, floor: '', either: '' },
  { rules: { keepLast: 1, keepTags: ['v['] }, floor: 'v4 v3 v2 v1', either: 'v4 v3 v2 v1' },
  { rules: { maxAge: '0d' }, floor: '', either: '' },
  { rules: { maxAge: '-5d' }, floor: '', either: '' },
  { rules: { keepLast: 2, maxAge: '0d' }, floor: 'v3 v2 v1', either: 'v3 v2 v1' },
]

describe('retention', () => {
  it.each(TABLE)('with $rules drops "$floor", or "$either" by either rule', (row) => {
    expect(dropped(row.rules)).toBe(row.floor)
    expect(dropped({ ...row.rules, mode: 'floor' })).toBe(row.floor)
    expect(dropped({ ...row.rules, mode: 'either' })).toBe(row.either)
  })

  it('keeps a tag of exactly the greatest age', () => {
    expect(dropped({ maxAge: '100d' }, { old: 101, edge: 100 })).toBe('old')
  })

  it('orders tags of one moment by name, so that the same one goes every time', () => {
    expect(dropped({ keepLast: 1 }, { v1: 3, v3: 3, v2: 3 })).toBe('v2 v1')
  })

  it('passes over an immutable image and counts it', () => {
    const lifecycle = { keepLast: 1 }
    expect(dropped(lifecycle, AGES, true)).toBe('')
    expect(dropped(lifecycle, AGES, false)).toBe('v4 v3 v2 v1')
    const config = { default: { immutable: true, lifecycle }, images: {} }
    expect(planRetention(tagsOf(AGES), config, NOW)).toMatchObject({
      skippedImmutable: 1,
      evaluated: 0,
    })
  })

  it('judges each image by its own settings and counts only tags that a rule applies to', () => {
    const config: BucketConfig = {
      default: {},
      images: { 'dev/*': { lifecycle: { keepLast: 1 } }, app: { lifecycle: { maxAge: '350d' } } },
    }
    const tags = [...tagsOf(AGES), ...tagsOf(AGES, 'dev/app'), ...tagsOf(AGES, 'other')]
    const plan = planRetention(tags, config, NOW)
    expect(plan.evaluated).toBe(10)
    expect(plan.images.map(({ image, kind }) => `${image} ${kind}`)).toEqual([
      'app judged',
      'dev/app judged',
      'other unconfigured',
    ])
    expect([...droppedTags(plan)]).toHaveLength(5)
    expect(isJudged(config, 'dev/app')).toBe(true)
    expect(isJudged(config, 'dev/team/app')).toBe(false)
  })

  it('says for every tag which rule keeps or drops it', () => {
    const lifecycle = { keepLast: 1, maxAge: '250d', keepTags: ['v[1]'] }
    const config = { default: { lifecycle }, images: { free: { immutable: true } } }
    const plan = planRetention([...tagsOf(AGES), ...tagsOf({ x: 1 }, 'free')], config, NOW)
    const lines = plan.images
      .flatMap(({ verdicts }) => verdicts)
      .map(({ tag, keep, rule, reason }) => `${keep} ${tag.image}:${tag.tag} ${rule}: ${reason}`)
    expect(lines).toEqual([
      'true app:v5 keep_last: number 1 of the newest 1',
      'true app:v4 max_age: 100d old, no more than 250d',
      'true app:v3 max_age: 200d old, no more than 250d',
      'false app:v2 max_age: 300d old, more than 250d',
      'true app:v1 keep_tags: matches v[1]',
      'true free:x immutable: the image is immutable',
    ])
  })
})

describe('a tag of cosign', () => {
  it('is kept, and takes no place of an image', () => {
    const signature = `sha256-${'a'.repeat(64)}.sig`
    expect(dropped({ keepLast: 2 }, { ...AGES, [signature]: 0 })).toBe('v3 v2 v1')
    expect(dropped({ maxAge: '10d' }, { ...AGES, [signature]: 500 })).not.toContain(signature)
  })
})
