import type { CleanedObject, CleanOptions, CleanResult } from '@s3lo/core'
import { escapeText, formatSize, quoteWord } from './text.ts'

type Ended = NonNullable<CleanResult['ended']>

/** What lines of a clean are made with. */
export interface CleanNotesOptions {
  readonly store: string
  readonly only: CleanOptions['only']
  readonly nameParticipant: (participant: Ended[number]) => string
}

/** What a clean did or would do, in the lines that people read while it runs. */
export function* cleanNotes(
  result: CleanResult,
  { store, only, nameParticipant }: CleanNotesOptions,
): Generator<string, void> {
  if (result.ended) {
    const what = result.dry_run ? 'would be ended' : 'ended'
    for (const participant of result.ended) yield `${nameParticipant(participant)}: ${what}`
    if (result.dry_run) yield 'Nothing was changed. Run with --confirm to end it.'
    return
  }
  const { dry_run: isDry, tags_deleted, tags_evaluated, deleted, freed_bytes } = result
  if (only !== 'blobs') {
    const what = isDry ? 'would be deleted' : 'deleted'
    yield `Tags:  ${tags_deleted} ${what} (out of ${tags_evaluated} evaluated)`
  }
  if (only !== 'tags') {
    const size = formatSize(freed_bytes)
    const cost = result.freed_monthly >= 0.01 ? `, $${result.freed_monthly.toFixed(2)}/month` : ''
    yield isDry
      ? `Blobs: ${deleted} unreferenced (${size} would be freed${cost})`
      : `Blobs: ${deleted} deleted (${size} freed${cost})`
  }
  yield* keptNotes(result)
  if (isDry && (tags_deleted > 0 || deleted > 0))
    yield 'Nothing was deleted. Run with --confirm to delete.'
  if (!isDry && only === 'tags' && tags_deleted > 0) {
    yield `Run s3lo clean ${quoteWord(store)} --blobs --confirm to free what only they needed.`
  }
}

function* keptNotes(result: CleanResult): Generator<string, void> {
  const { skipped_recent: recent, skipped_pinned: pinned, images_immutable: immutable } = result
  const { undated = [] } = result
  if (immutable > 0) yield `${count(immutable, 'immutable image')} passed over.`
  for (const { image, message } of undated) {
    yield `${escapeText(image)} kept: its date is not known: ${escapeText(message)}`
    yield 'Its next push mends that.'
  }
  if (recent > 0) {
    yield `${count(recent, 'unreferenced object')} kept: unreferenced for too short a time.`
    yield 'A push of another program may be using them; they go in a later run (see --grace).'
  }
  if (pinned > 0)
    yield `${count(pinned, 'unreferenced object')} kept: a push or copy needs them now.`
}

/** What `--explain` asks for; empty without it. */
export function renderCleaned({ tags = [], objects = [] }: CleanResult): string {
  const lines = [
    ...tags.map(({ image, tag, keep, rule, reason }) => {
      const by = rule === 'none' || rule === 'immutable' ? reason : `${rule}: ${reason}`
      return `${keep ? 'keep' : 'drop'} ${escapeText(`${image}:${tag}`)} (${escapeText(by)})`
    }),
    ...objects.map(renderObject),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const REASONS: Readonly<Record<string, string>> = {
  recent: 'no tag needs it, but it is new',
  condemned: 'no tag needs it, but not for long',
  pinned: 'no tag needs it, but a push or copy does',
  failed: 'no tag needs it, but it could not be deleted',
}

function renderObject({ key, size, outcome }: CleanedObject): string {
  const kept = REASONS[outcome]
  const verb = kept === undefined ? 'drop' : 'keep'
  return `${verb} ${escapeText(key)} (${formatSize(size)}, ${kept ?? 'no tag needs it'})`
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
