import type { CleanedImage, CleanedObject, CleanOptions, CleanResult } from '@s3lo/core'
import { escapeText, formatSize } from './text.ts'
import { untaggedNote } from './untagged.ts'

type Ended = NonNullable<CleanResult['ended']>

/** What lines of a clean are made with. */
export interface CleanNotesOptions {
  readonly only: CleanOptions['only']
  readonly nameParticipant: (participant: Ended[number]) => string
}

/** What a clean did or would do, in the lines that people read while it runs. */
export function* cleanNotes(
  result: CleanResult,
  { only, nameParticipant }: CleanNotesOptions,
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
    if (tags_deleted > 0) {
      const stay = isDry ? 'would stay' : 'stay'
      yield `Their images ${stay} pullable by digest, with their content (lifecycle.keep_untagged).`
    }
  }
  if (only !== 'tags') {
    const size = formatSize(freed_bytes)
    const cost = result.freed_monthly >= 0.01 ? `, $${result.freed_monthly.toFixed(2)}/month` : ''
    yield isDry
      ? `Blobs: ${deleted} unreferenced (${size} would be freed${cost})`
      : `Blobs: ${deleted} deleted (${size} freed${cost})`
  }
  yield* untaggedNotes(result)
  yield* keptNotes(result)
  if (isDry && (tags_deleted > 0 || deleted > 0 || result.records_deleted > 0))
    yield 'Nothing was deleted. Run with --confirm to delete.'
}

function* untaggedNotes({
  dry_run: isDry,
  records_deleted: expired,
  untagged,
}: CleanResult): Generator<string, void> {
  if (expired > 0) {
    const what = isDry ? 'would no longer be' : 'no longer'
    yield `${count(expired, 'manifest')} ${what} kept by digest: past lifecycle.keep_untagged.`
  }
  if (untagged) {
    yield `${untaggedNote(untagged)}.`
    yield 's3lo list --untagged shows them; s3lo delete --purge deletes an image at once.'
  }
}

function* keptNotes(result: CleanResult): Generator<string, void> {
  const { skipped_recent: recent, skipped_pinned: pinned, images_immutable: immutable } = result
  const { undated = [], go_garbage: go } = result
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
  if (go) {
    const size = formatSize(go.bytes)
    yield `${count(go.objects, 'unreferenced object')} of the Go program's chunks kept (${size}).`
    yield 'It re-uses them without a word: if none is running, add --go-writers-stopped.'
  }
}

/** What `--explain` asks for; empty without it. */
export function renderCleaned({
  tags = [],
  untagged_images = [],
  objects = [],
}: CleanResult): string {
  const lines = [
    ...tags.map(({ image, tag, keep, rule, reason }) => {
      const by = rule === 'none' || rule === 'immutable' ? reason : `${rule}: ${reason}`
      return `${keep ? 'keep' : 'drop'} ${escapeText(`${image}:${tag}`)} (${escapeText(by)})`
    }),
    ...untagged_images.map(renderImage),
    ...objects.map(renderObject),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function renderImage({ image, digest, outcome, ...times }: CleanedImage): string {
  const until = times.expires_at === undefined ? 'for ever' : `until ${times.expires_at}`
  const name = escapeText(`${image}@${digest}`)
  return outcome === 'kept'
    ? `keep ${name} (untagged, stays ${until})`
    : `drop ${name} (untagged since ${times.untagged_since}, expired ${times.expires_at})`
}

const REASONS: Readonly<Record<string, string>> = {
  recent: 'no tag needs it, but it is new',
  condemned: 'no tag needs it, but not for long',
  pinned: 'no tag needs it, but a push or copy does',
  'go-writers': 'no tag needs it, but a push of the Go program may',
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
