import type { ProgressEvent } from '@s3lo/core'

/** Shows how far something is. */
export interface ProgressView {
  update(event: ProgressEvent): void
  /** Prints a line that stays. */
  print(line: string): void
  /** Takes away what does not stay. */
  close(): void
}
