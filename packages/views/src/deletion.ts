import type { DeleteResult } from '@s3lo/core'
import { escapeText } from './text.ts'

/** What was deleted, as one line. */
export function deletedNote({ ref, digest, purged }: DeleteResult): string {
  const what = purged ? `, and ${digest} is not kept by its digest` : ''
  return `Deleted ${escapeText(ref)}${what}`
}

/** What stays of all that was deleted, and until when, in the lines that people read in the end. */
export function* keptAfterDelete(results: readonly DeleteResult[]): Generator<string, void> {
  for (const { digest, remaining = [], also_in: others = [] } of results) {
    for (const name of remaining) yield `${escapeText(name)} still names ${digest}`
    for (const name of others) yield `${escapeText(name)} has ${digest} as well, or a part of it`
  }
  const kept = results.flatMap(({ kept_until: until }) => until ?? [])
  if (kept.length > 0) {
    const until = kept.includes('forever') ? 'for ever' : `until ${kept.toSorted().at(-1)}`
    const what = kept.length === 1 ? 'The image stays' : 'The images stay'
    yield `${what} pullable by digest ${until} (lifecycle.keep_untagged). With --purge nothing stays.`
  }
  if (results.some(({ purged }) => purged)) {
    yield 'Content that no other image needs goes with the next s3lo clean after its grace period.'
  }
}
