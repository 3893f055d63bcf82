import type { Writable } from 'node:stream'
import type { ProgressEvent } from '@s3lo/core'
import type { ProgressView } from './progress-view.ts'
import { type BlobInFlight, ProgressState } from '@s3lo/views/progress-state'
import { escapeText, formatSeconds, formatSize } from '@s3lo/views/text'
import { padEnd, textWidth, truncate } from '@s3lo/views/width'

const REDRAW_EVERY_MS = 60
/** Without news, the rate and the time left are still to be kept right. */
const IDLE_REDRAWS = 10

const MAX_BLOB_LINES = 8
const MIN_BAR = 8
const MAX_BAR = 40

/** One bar for the whole transfer and a line for each blob on its way, redrawn in place. */
export class ProgressBar implements ProgressView {
  readonly #state = new ProgressState(() => performance.now())
  readonly #stream: Writable
  readonly #activity: string
  readonly #timer: NodeJS.Timeout
  #shown: readonly string[] = []
  /** Nothing is shown before the first event: a question may be waiting for its answer. */
  #hasBegun = false
  #hasNews = false
  #idle = 0

  constructor(stream: Writable, activity: string) {
    this.#stream = stream
    this.#activity = activity
    this.#timer = setInterval(() => this.#tick(), REDRAW_EVERY_MS)
    this.#timer.unref()
    stream.on('resize', this.#redraw)
  }

  update(event: ProgressEvent): void {
    this.#state.apply(event)
    this.#hasBegun = true
    this.#hasNews = true
  }

  print(line: string): void {
    this.#draw([], `${line}\n`)
    this.#hasNews = true
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stream.off('resize', this.#redraw)
    this.#draw([])
  }

  #tick(): void {
    this.#idle++
    if (this.#hasNews || this.#idle >= IDLE_REDRAWS) this.#redraw()
  }

  readonly #redraw = (): void => {
    if (!this.#hasBegun) return
    this.#hasNews = false
    this.#idle = 0
    const { columns, rows } = sizeOf(this.#stream)
    this.#draw(formatFrame(this.#state, this.#activity, columns, rows))
  }

  /** Puts a frame in the place of the one that is shown; `before` stays above it. */
  #draw(frame: readonly string[], before = ''): void {
    this.#stream.write(`${this.#erasure()}${before}${frame.join('\n')}`)
    this.#shown = frame
  }

  /** Moves to the start of what is shown and clears from there, at any width that it is wrapped at now. */
  #erasure(): string {
    if (this.#shown.length === 0) return ''
    const { columns } = sizeOf(this.#stream)
    const rows = this.#shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(textWidth(line) / columns)),
      0,
    )
    return `\r${rows > 1 ? `\u001b[${rows - 1}A` : ''}\u001b[J`
  }
}

/** The lines of a frame, each narrower than the terminal so that none wraps. */
function formatFrame(
  state: ProgressState,
  activity: string,
  columns: number,
  rows: number,
): readonly string[] {
  const width = Math.max(1, columns - 1)
  const { inFlight } = state
  const room = Math.max(0, Math.min(MAX_BLOB_LINES, rows - 3))
  const shown = inFlight.length > room ? inFlight.slice(0, Math.max(0, room - 1)) : inFlight
  const more = inFlight.length - shown.length
  const lines = [formatBar(state, activity, width), ...shown.map(formatBlob)]
  if (more > 0 && room > 0) lines.push(`  and ${more} more`)
  return lines.map((line) => truncate(line, width))
}

/** As much of the bar's line as fits; what matters least goes first. */
function formatBar(state: ProgressState, activity: string, width: number): string {
  const { done, total, ratio = 1, rate, secondsLeft, blobs, blobTotal } = state
  const speed = rate > 0 ? [`${formatSize(rate)}/s`] : []
  if (total === undefined) {
    return fitting([[formatSize(done), ...speed, `${blobs} blobs`]], activity, width)
  }
  const percent = `${Math.floor(100 * ratio)}%`.padStart(4)
  const bytes =
    blobTotal === undefined
      ? `${formatSize(done)} / ${formatSize(total)}`
      : `${blobs} / ${blobTotal}`
  const left = secondsLeft === undefined ? [] : [`${formatSeconds(secondsLeft)} left`]
  const details = [
    [percent, bytes, ...speed, ...left],
    [percent, bytes, ...speed],
    [percent, bytes],
    [percent],
  ]
  for (const detail of details) {
    const text = detail.join('  ')
    const bar = Math.min(MAX_BAR, width - textWidth(activity) - textWidth(text) - 4)
    if (bar >= MIN_BAR) return `${activity} ${drawBar(ratio, bar)} ${text}`
  }
  return fitting(details, activity, width)
}

/** The first of the details that fits beside the activity, without a bar. */
function fitting(details: readonly (readonly string[])[], activity: string, width: number): string {
  const lines = details.map((detail) => `${activity} ${detail.join('  ').trimStart()}`)
  return lines.find((line) => textWidth(line) <= width) ?? lines.at(-1) ?? activity
}

function drawBar(ratio: number, width: number): string {
  const filled = Math.round(ratio * width)
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`
}

function formatBlob({ descriptor, platform, moved }: BlobInFlight): string {
  const name = descriptor.digest === '' ? 'layer' : descriptor.digest.slice(0, 19)
  const bytes = `${formatSize(moved)} / ${formatSize(descriptor.size)}`
  const where = platform === 'single' ? '' : `  ${escapeText(platform)}`
  return `  ${padEnd(escapeText(name), 19)}  ${bytes}${where}`
}

function sizeOf(stream: object): { readonly columns: number; readonly rows: number } {
  const columns = 'columns' in stream && Number(stream.columns)
  const rows = 'rows' in stream && Number(stream.rows)
  // A terminal that does not say how large it is is taken for the smallest usual one.
  return { columns: columns || 80, rows: rows || 24 }
}
