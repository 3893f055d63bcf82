import type { Writable } from 'node:stream'
import { isTerminal } from './color.ts'
import { ProgressBar } from './progress-bar.ts'
import { ProgressLines } from './progress-lines.ts'
import type { ProgressView } from './progress-view.ts'

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
