import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isImageFault } from '../store/image-fault.ts'
import { readVersion } from '../store/read-object.ts'
import { RECIPE_BUDGET, RECIPES_AT_ONCE } from '../store/read-recipe.ts'
import { ByteBudget } from '../concurrency/byte-budget.ts'
import type { ChunkFormat } from './chunk-format.ts'
import type { Collectable } from './collectable.ts'
import { DigestSet } from './digest-set.ts'
import type { LayerState, UnreadableManifest } from './live-content.ts'
import { nameOf, versionOf } from './name-set.ts'

/**
 * The chunks that recipes name. **A recipe that is stored is a root of its chunks, whether a manifest
 * needs its layer or not**: it goes first, in a round on the layer's name, and a chunk is deleted only
 * after no recipe names it. Who has pinned a layer and finds its recipe therefore finds its chunks.
 * Takes 32 to 64 bytes for each chunk.
 */
export class LiveChunks {
  readonly #backend: StorageBackend
  readonly #format: ChunkFormat
  /** Marks of chunks, by what needs the layers. */
  readonly #chunks: Readonly<Record<LayerState, DigestSet>> = {
    tagged: new DigestSet(),
    untagged: new DigestSet(),
    garbage: new DigestSet(),
  }
  /** Recipes that were read: hashes of key and etag. */
  readonly #read = new DigestSet()
  /** Layers whose recipes count as gone. */
  readonly #gone = new DigestSet()
  #unreadable: UnreadableManifest[] = []

  constructor(backend: StorageBackend, format: ChunkFormat) {
    this.#backend = backend
    this.#format = format
  }

  /** Recipes that the last look could not read. While there is any, no chunk may be deleted. */
  get unreadable(): readonly UnreadableManifest[] {
    return this.#unreadable
  }

  /** True for a chunk of a layer that is live. */
  isLive(mark: string): boolean {
    return this.#chunks.tagged.has(mark) || this.#chunks.untagged.has(mark)
  }

  /** True for a chunk of layers that only untagged images need. */
  isHeld(mark: string): boolean {
    return this.#chunks.untagged.has(mark) && !this.#chunks.tagged.has(mark)
  }

  /** True for a chunk that a recipe names, as far as {@link scan} has read them. */
  isNamed(mark: string): boolean {
    return this.isLive(mark) || this.#chunks.garbage.has(mark)
  }

  /** Takes the recipe of a layer for deleted, in a dry run. */
  forget({ name }: Collectable): void {
    this.#gone.add(name)
  }

  /** Reads the recipes of live layers. */
  mark(stateOf: (layer: string) => LayerState, options: CallOptions): Promise<void> {
    return this.#look((name) => {
      const state = stateOf(name)
      return state === 'garbage' ? undefined : state
    }, options)
  }

  /** Reads every recipe that is stored and was not read yet. */
  scan(stateOf: (layer: string) => LayerState, options: CallOptions): Promise<void> {
    return this.#look((name) => (this.#gone.has(name) ? undefined : stateOf(name)), options)
  }

  /** Every chunk that is stored. */
  async *list(options: CallOptions): AsyncGenerator<Collectable, void> {
    for await (const info of this.#backend.list(this.#format.chunksPrefix, options)) {
      const chunk = this.#format.toChunk(info)
      if (chunk) yield chunk
    }
  }

  async #look(
    select: (name: string) => LayerState | undefined,
    options: CallOptions,
  ): Promise<void> {
    this.#unreadable = []
    const budget = new ByteBudget(RECIPE_BUDGET)
    await forEachConcurrent(
      this.#backend.list(this.#format.recipesPrefix, options),
      RECIPES_AT_ONCE,
      async (info, signal) => {
        const layer = this.#format.layerOf(info.key)
        const state = layer === undefined ? undefined : select(nameOf(layer))
        if (state === undefined || this.#read.has(versionOf(info))) return
        await budget.use(info.size, signal, () => this.#readRecipe(info, state, signal))
      },
      options.signal,
    )
  }

  async #readRecipe({ key }: ObjectInfo, state: LayerState, signal: AbortSignal): Promise<void> {
    const { maxRecipeBytes, marksOf } = this.#format
    try {
      const read = await readVersion(this.#backend, key, maxRecipeBytes, { signal })
      // Deleted since it was listed: it names nothing any more.
      if (!read) return
      for (const mark of marksOf(read.content, key)) this.#chunks[state].add(mark)
      this.#read.add(versionOf(read.info))
    } catch (error) {
      if (!isImageFault(error)) throw error
      this.#unreadable.push({ name: key, error })
    }
  }
}
