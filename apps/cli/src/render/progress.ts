import type { Writable } from 'node:stream'
import type { ProgressEvent } from '@s3lo/core'
import { isTerminal } from './color.ts'
import { ProgressBar } from './progress-bar.ts'
import { ProgressLines } from './progress-lines.ts'

/** Shows how far something is. */
export interface ProgressView {
  update(event: ProgressEvent): void
  /** Prints a line that stays. */
  print(line: string): void
  /** Takes away what does not stay. */
  close(): void
}

/** A bar on a terminal, a line now and then anywhere else. */
export function openProgress(
  stream: Writable,
  activity: string,
  env: Readonly<Record<string, string | undefined>>,
): ProgressView {
  return isTerminal(stream, env)
    ? new ProgressBar(stream, activity)
    : new ProgressLines(stream, activity)
}
