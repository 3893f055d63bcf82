import { parseDuration } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'

/** The end of the time that work may take. */
export interface Deadline {
  /** Aborted with an `UNAVAILABLE` error when the time is up. */
  readonly signal: AbortSignal
  /** To be called when the work is done: until then the process stays alive. */
  close(): void
}

/** The longest timer of Node, about 25 days; what is longer never fires. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Starts the time of `--timeout`; none where it is not given or zero. Throws `USAGE`. */
export function startDeadline(text: string | undefined): Deadline {
  const controller = new AbortController()
  const milliseconds = text === undefined ? 0 : parseTimeout(text)
  if (milliseconds === 0 || milliseconds > MAX_TIMER_MS) {
    return { signal: controller.signal, close() {} }
  }
  const timer = setTimeout(() => {
    controller.abort(
      new S3loError('UNAVAILABLE', `timed out after ${text}`, {
        hint: 'try again, or give it longer with --timeout',
      }),
    )
  }, milliseconds)
  return {
    signal: controller.signal,
    close() {
      clearTimeout(timer)
    },
  }
}

/** A Go duration: days are for the lifecycle of images only. */
function parseTimeout(text: string): number {
  const milliseconds = text.endsWith('d') ? undefined : durationOf(text)
  if (milliseconds !== undefined && milliseconds >= 0) return milliseconds
  throw new S3loError('USAGE', `--timeout ${JSON.stringify(text)} is not a duration`, {
    hint: 'durations are hours, minutes and seconds, such as 30s, 5m or 1h30m',
  })
}

function durationOf(text: string): number | undefined {
  try {
    return parseDuration(text)
  } catch {
    return undefined // Its only error is the one that the caller words for this option.
  }
}
