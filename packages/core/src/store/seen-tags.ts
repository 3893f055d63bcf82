import { manifestKey } from '../layout/keys.ts'
import type { Reference } from '../oci/reference.ts'
import type { PresentTag } from './displace.ts'
import { RecentMap } from './recent-map.ts'

/** A tag when it was last read; `present` is absent where there was none. */
export interface SeenTag {
  readonly present: PresentTag | undefined
}

/** Bytes of manifests that are kept. */
const MAX_BYTES = 4 * 1024 * 1024

/** What an entry takes beside the bytes of its manifest, at most. */
const ENTRY_BYTES = 1024

/**
 * What tags named when they were last read. A copy reads the tag of its target first; what it moves
 * in the end is moved under the condition that it is still that, so that it need not be read twice.
 */
export class SeenTags {
  readonly #tags = new RecentMap<string, SeenTag>(
    MAX_BYTES,
    ({ present }) => ENTRY_BYTES + (present?.document?.content.byteLength ?? 0),
  )

  note(reference: Reference, present: PresentTag | undefined): void {
    this.#tags.set(manifestKey(reference), { present })
  }

  /** `undefined` for a tag that was not read, or long ago. */
  get(reference: Reference): SeenTag | undefined {
    return this.#tags.get(manifestKey(reference))
  }
}
