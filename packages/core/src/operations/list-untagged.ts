import type { CallOptions } from '../contract/call-options.ts'
import type { ImageStore } from '../store/image-store.ts'
import { surveyRecords } from './record-survey.ts'
import { readStoreGraph } from './store-graph.ts'
import { isoOf, untilOf } from './untagged.ts'

/** An image that no tag and no index of its repository reaches; field names are those of `--output json`. */
export interface UntaggedListing {
  readonly name: string
  readonly digest: string
  /** When it was published, or lost its last tag: RFC 3339. */
  readonly untagged_since: string
  /** Until when it is pullable by its digest, RFC 3339, or `forever`. */
  readonly kept_until: string
}

/**
 * The images of a store that are pullable by their digests alone, by name, the one that lost its tag
 * last before the others. `filter` is empty or ends in `/`. What refers to images is not among them.
 */
export async function listUntagged(
  store: ImageStore,
  filter = '',
  options: CallOptions = {},
): Promise<readonly UntaggedListing[]> {
  const graph = await readStoreGraph(store, filter, () => undefined, options)
  const survey = await surveyRecords(store, graph, { ...options, filter })
  const rows = survey.untagged().map(({ repository, digest, info, expiresAt }) => ({
    name: repository,
    digest,
    untagged_since: isoOf(info.lastModified.getTime()),
    kept_until: untilOf(expiresAt),
  }))
  return rows.toSorted(
    (a, b) => compare(a.name, b.name) || compare(b.untagged_since, a.untagged_since),
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
