import type { Writable } from 'node:stream'
import type { ProgressEvent } from '@s3lo/core'
import type { ProgressView } from './progress-view.ts'
import { ProgressState } from '@s3lo/views/progress-state'
import { formatSeconds, formatSize } from '@s3lo/views/text'

const EVERY_MS = 10_000

/** Says how far a transfer is every ten seconds: for logs. */
export class ProgressLines implements ProgressView {
  readonly #state = new ProgressState(() => performance.now())
  readonly #stream: Writable
  readonly #activity: string
  readonly #timer: NodeJS.Timeout

  constructor(stream: Writable, activity: string) {
    this.#stream = stream
    this.#activity = activity
    this.#timer = setInterval(() => this.print(this.#line()), EVERY_MS)
    this.#timer.unref()
  }

  update(event: ProgressEvent): void {
    this.#state.apply(event)
  }

  print(line: string): void {
    this.#stream.write(`${line}\n`)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #line(): string {
    const { done, total, ratio = 0, rate, secondsLeft, blobs, blobTotal } = this.#state
    const percent = `(${Math.floor(100 * ratio)}%)`
    const parts = [
      ...(blobTotal === undefined
        ? [
            total === undefined
              ? `${formatSize(done)} so far`
              : `${formatSize(done)} of ${formatSize(total)} ${percent}`,
            `${formatSize(rate)}/s`,
          ]
        : [`${blobs} of ${blobTotal} ${percent}`]),
      ...(secondsLeft === undefined ? [] : [`${formatSeconds(secondsLeft)} left`]),
    ]
    return `${this.#activity}: ${parts.join(', ')}`
  }
}
