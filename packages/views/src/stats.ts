import type { LayerSharingResult, SharedLayer, StatsResult } from '@s3lo/core'
import { escapeText, formatSize } from './text.ts'
import { untaggedNote } from './untagged.ts'
import { padEnd } from './width.ts'

/** What a store holds and costs, as text. */
export function renderStats(store: string, stats: StatsResult): string {
  const sections = [
    [`Bucket: ${escapeText(store)}`],
    [
      `Images:       ${stats.images}`,
      `Tags:         ${stats.tags}${renderLegacy(stats)}`,
      `Storage:      ${renderStorage(stats)}`,
      ...renderSavings(stats),
      ...renderChunked(stats),
      ...(stats.untagged ? [`Untagged:     ${untaggedNote(stats.untagged)}`] : []),
    ],
    renderClasses(stats),
    renderCost(stats),
  ]
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`
}

function renderLegacy({ legacy_tags: legacy = 0, referrer_tags: others = 0 }: StatsResult): string {
  const beside = others > 0 ? `, and ${others} of signatures and the like` : ''
  return legacy > 0 ? `${beside} (${legacy} in the old layout 1.0.0, which shares nothing)` : beside
}

function renderStorage({ blob_bytes, unique_blobs, chunks, chunk_bytes }: StatsResult): string {
  const size = formatSize(blob_bytes)
  if (chunks === 0) return `${size} across ${unique_blobs} unique blobs`
  const chunked = formatSize(chunk_bytes)
  return `${size} across ${unique_blobs} blobs and ${chunks} chunks (${chunked} chunked)`
}

function renderChunked({ chunked }: StatsResult): string[] {
  if (!chunked) return []
  const { layers, content_bytes: content, compression, shared_percent: shared } = chunked
  const tables = chunked.table_bytes > 0 ? `, ${formatSize(chunked.table_bytes)} of tables` : ''
  const what = `${layers} layers of ${formatSize(content)}`
  return [
    `In chunks:    ${what}, ${compression.toFixed(1)} × smaller, ${shared.toFixed(1)} % shared${tables}`,
  ]
}

function renderSavings({ dedup_savings, dedup_percent, logical_bytes }: StatsResult): string[] {
  if (dedup_savings === 0) return []
  const without = formatSize(logical_bytes)
  const saved = formatSize(dedup_savings)
  return [`Dedup savings: ${saved} (${dedup_percent.toFixed(1)}% — without dedup: ${without})`]
}

function renderClasses({ storage_by_class }: StatsResult): readonly string[] {
  const classes = Object.entries(storage_by_class)
  if (classes.length < 2) return []
  const rows = classes
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `  ${padEnd(escapeText(name), 24)}${formatSize(bytes)}`)
  return ['Storage classes:', ...rows]
}

function renderCost({ cost, prices, dedup_savings, blob_bytes }: StatsResult): readonly string[] {
  if (blob_bytes === 0) return []
  const money = (amount: number): string => `${formatMoney(amount, prices.currency)}/month`
  const savings = `${money(cost.savings_vs_ecr)} (${cost.savings_pct.toFixed(0)}%)`
  return [
    `Estimated cost (prices of ${escapeText(prices.as_of)}):`,
    `  S3 (current):   ${money(cost.s3_monthly)}`,
    ...(dedup_savings > 0 ? [`  S3 (no dedup):  ${money(cost.s3_no_dedup_monthly)}`] : []),
    `  ECR equivalent: ${money(cost.ecr_monthly)}`,
    ...(cost.savings_vs_ecr > 0 ? [`  Savings vs ECR: ${savings}`] : []),
  ]
}

/** `$1.25`, `EUR 1.25`; what is not nothing is never shown as nothing. */
function formatMoney(amount: number, currency: string): string {
  const sign = currency === 'USD' ? '$' : `${escapeText(currency)} `
  return amount > 0 && amount < 0.01 ? `< ${sign}0.01` : `${sign}${amount.toFixed(2)}`
}

/** How tags share layers, as a table. */
export function renderLayers(sharing: LayerSharingResult): string {
  const { layers, tags, stored_bytes, logical_bytes, saved_percent } = sharing
  if (layers.length === 0) return 'No layers found.\n'
  const parts = [
    `${layers.length} unique layers across ${tags.length} tags`,
    `${formatSize(stored_bytes)} stored`,
    ...(logical_bytes > stored_bytes
      ? [`${formatSize(logical_bytes)} logical`, `${saved_percent.toFixed(0)}% saved by sharing`]
      : []),
  ]
  const rows = [['LAYER', 'SIZE', 'TAGS', 'SHARED BY'], ...layers.map(toCells)]
  const lines = rows.map(([layer = '', size = '', count = '', by = '']) =>
    `${padEnd(layer, 19)}  ${padEnd(size, 10)}  ${padEnd(count, 5)}  ${by}`.trimEnd(),
  )
  return `${[...lines, '', parts.join(' · ')].join('\n')}\n`
}

function toCells({ digest, size, tags }: SharedLayer): readonly string[] {
  const by = tags.map(escapeText).join(', ')
  return [`sha256:${escapeText(digest.slice(0, 12))}`, formatSize(size), String(tags.length), by]
}
