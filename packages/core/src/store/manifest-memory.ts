import type { CallOptions } from '../contract/call-options.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { RecentMap } from './recent-map.ts'

/** Bytes of manifests that are kept. */
const MAX_BYTES = 16 * 1024 * 1024

/** What an entry takes beside the bytes of its manifest, at most. */
const ENTRY_BYTES = 1024

/** Manifests of which is kept how they are read. */
const MAX_MANIFESTS = 10_000

/** Reads a manifest by its digest, verified. */
export type ReadAgain = (options: CallOptions) => Promise<ManifestDocument | undefined>

/**
 * Manifests that were found in another way than by their digest alone: those of tags.
 * A caller that has found one asks for its bytes by the digest. The bytes of the last ones are kept,
 * and of more of them how they are found again, so that a store that is open for days stays small.
 */
export class ManifestMemory {
  readonly #contents: RecentMap<string, Uint8Array>
  readonly #ways = new RecentMap<string, ReadAgain>(MAX_MANIFESTS)

  constructor(maxBytes = MAX_BYTES) {
    this.#contents = new RecentMap(maxBytes, ({ byteLength }) => byteLength + ENTRY_BYTES)
  }

  add(digest: string, content: Uint8Array, again: ReadAgain): void {
    this.#contents.set(digest, content)
    this.#ways.set(digest, again)
  }

  /** The bytes of a manifest that was added; `undefined` for another, and for one that is gone. */
  async content(digest: string, options: CallOptions): Promise<Uint8Array | undefined> {
    const kept = this.#contents.get(digest)
    if (kept) return kept
    const document = await this.#ways.get(digest)?.(options)
    if (document) this.#contents.set(digest, document.content)
    return document?.content
  }
}
