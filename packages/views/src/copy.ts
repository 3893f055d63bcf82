import type { CopiedTag, CopyResult, CopyTagsResult } from '@s3lo/core'
import { escapeText, formatSize } from './text.ts'
import { formatElapsed } from './transfer.ts'

/** What a copy of one image did, as lines for people. */
export function summariseCopy(
  { digest, bytes, platforms, attestations, ...moved }: CopyResult,
  destination: string,
  milliseconds: number,
): readonly string[] {
  const parts = [
    `${formatSize(bytes)} in ${formatElapsed(milliseconds)}`,
    ...contentOf({ platforms, attestations }),
    ...blobs(moved),
    ...(moved.referrers_copied > 0 ? [`${moved.referrers_copied} attachment(s)`] : []),
  ]
  const done = `Done. ${digest}: ${parts.join(', ')}.`
  const dropped = moved.signatures_dropped
  if (dropped === 0) return [done]
  return [
    done,
    `note: ${dropped} signature(s) stayed behind, they hold for the source only; sign the copy: s3lo sign ${destination} --key KEY`,
  ]
}

/** What is in an index; of a single image there is nothing to say. */
function contentOf({
  platforms,
  attestations,
}: Pick<CopyResult, 'platforms' | 'attestations'>): readonly string[] {
  if (platforms + attestations <= 1) return []
  const images = count(platforms, 'platform')
  return attestations > 0 ? [images, count(attestations, 'attestation')] : [images]
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** What a copy of one image would do: a line. */
export function renderPlannedCopy(planned: CopyResult): string {
  const { digest, blobs_copied, blobs_skipped, bytes_copied, referrers_copied } = planned
  const { platforms, attestations } = planned
  const parts = [
    ...contentOf({ platforms, attestations }),
    `${blobs_copied} blob(s) to copy (${formatSize(bytes_copied)})`,
    `${blobs_skipped} already exist`,
    `${referrers_copied} attachment(s)`,
  ]
  return `${escapeText(digest)}: ${parts.join(', ')}\n`
}

const DID: Readonly<Record<CopiedTag['action'], string>> = {
  copy: 'copied',
  replace: 'replaced',
  unchanged: 'unchanged',
  failed: 'failed',
  left: 'not tried',
}

/** What became of one tag of several: a line. */
export function summariseTag({ tag, action, copied, error }: CopiedTag): string {
  if (error) return `${tag}: failed: ${error.message}`
  if (!copied || action === 'unchanged') return `${tag}: ${DID[action]}`
  return `${tag}: ${DID[action]}, ${blobs(copied).join(', ')}`
}

/** What became of all of them: a line. */
export function summariseTags(result: CopyTagsResult): string {
  const parts = [
    `${result.tags_copied} tag(s) copied`,
    `${result.tags_unchanged} unchanged`,
    ...(result.tags_failed > 0 ? [`${result.tags_failed} failed`] : []),
    ...blobs(result),
  ]
  return `Done. ${parts.join(', ')}.`
}

/** What became, or would become, of each tag: a line each, `TAG ACTION DIGEST`. */
export function renderTags({ tags }: CopyTagsResult): string {
  const width = Math.max(...tags.map(({ tag }) => tag.length))
  return tags
    .map(({ tag, action, digest, error }) => {
      const detail = escapeText(error ? error.message : (digest ?? ''))
      return `${escapeText(tag).padEnd(width)}  ${action.padEnd('unchanged'.length)}  ${detail}\n`
    })
    .join('')
}

function blobs(
  moved: Pick<CopyResult, 'blobs_copied' | 'blobs_skipped' | 'bytes_copied'>,
): readonly string[] {
  const copied = `${moved.blobs_copied} blob(s) copied (${formatSize(moved.bytes_copied)})`
  return [copied, `${moved.blobs_skipped} skipped (already exist)`]
}
