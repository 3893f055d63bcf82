import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { CHUNK_FRAMES_PREFIX, parseChunkFrameKey } from '../layout/chunk-keys.ts'

/** As many keys are listed to learn of every chunk of a store: one page of most services. */
const MOST_LISTED = 1000

/** Which chunks a store has, as one look before the first of them tells. */
export class PresentChunks {
  readonly #backend: StorageBackend
  #all: Promise<ReadonlySet<string> | undefined> | undefined

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /**
   * False where the store had no frame of the raw bytes: a small store, which one listing shows whole.
   * True where it may have one, which is to be looked for under a pin.
   */
  async mayHave(raw: string, options: CallOptions): Promise<boolean> {
    this.#all ??= this.#listAll(options)
    const all = await this.#all
    return all?.has(raw) ?? true
  }

  async #listAll(options: CallOptions): Promise<ReadonlySet<string> | undefined> {
    const all = new Set<string>()
    let listed = 0
    for await (const { key } of this.#backend.list(CHUNK_FRAMES_PREFIX, options)) {
      if (++listed > MOST_LISTED) return undefined
      const name = parseChunkFrameKey(key)
      if (name) all.add(name.raw)
    }
    return all
  }
}
