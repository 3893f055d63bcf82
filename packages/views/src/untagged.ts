import type { UntaggedFigures } from '@s3lo/core'
import { formatSize } from './text.ts'

/** What untagged images hold, and until when, as a clause. */
export function untaggedNote(figures: UntaggedFigures): string {
  const { images, bytes, last_expires_at: last, kept_forever: forever = 0 } = figures
  const until = last === undefined ? '' : ` until ${last} at the latest`
  const never =
    forever === 0 ? '' : forever === images ? ' for ever' : `, ${forever} of them for ever`
  const what = images === 1 ? '1 untagged image holds' : `${images} untagged images hold`
  return `${what} ${formatSize(bytes)}${until}${never}`
}
