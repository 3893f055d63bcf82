import type { RetentionPlan, TagVerdict } from './plan.ts'

/** One line for each tag: `keep`, or `drop`, the tag, and the rule with its reason. */
export function* explainRetention({ images }: RetentionPlan): Generator<string, void> {
  for (const { verdicts } of images) for (const verdict of verdicts) yield explainVerdict(verdict)
}

/** One verdict as a line: `drop app:v1 (max_age: 400d old, more than 90d)`. */
export function explainVerdict({ tag, keep, rule, reason }: TagVerdict): string {
  const by = rule === 'none' || rule === 'immutable' ? reason : `${rule}: ${reason}`
  return `${keep ? 'keep' : 'drop'} ${tag.image}:${tag.tag} (${by})`
}
