import { TableBuilder } from '../chunk/build-table.ts'
import type { ChunkRecipe } from '../chunk/chunk-recipe.ts'
import type { EncodedChunk } from '../chunk/encode-layer.ts'
import { decompressFrame, type StoredChunk } from '../chunk/frame.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import { mapInOrder } from '../concurrency/map-in-order.ts'
import type { BucketConfig } from '../config/bucket-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { MountedChunks } from '../contract/image-target.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import type { Protection } from '../gc/protection.ts'
import { chunkFrameKey } from '../layout/chunk-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { Digester } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { ChunkedLayer } from './chunked-layer.ts'
import { chunkPiece, framePlace } from './content-look.ts'
import { beginLayerForm, type LayerForm, plannedLayerForm } from './layer-form.ts'
import { PresentChunks } from './present-chunks.ts'
import { readChunkRecipe, recipeOf } from './read-recipe.ts'
import { writeChunkRecipe } from './write-recipe.ts'
import { writeLayerTable } from './write-table.ts'

/** Chunks of one layer that are looked for or copied at once. */
const CHUNKS_AT_ONCE = 4

/** What a publication of a store lends. */
interface CopiedChunksPlace {
  readonly backend: StorageBackend
  readonly protection: Protection
  readonly config: (options?: CallOptions) => Promise<BucketConfig>
}

/**
 * Layers in chunks of format 2 that a publication relies on as they are: those that its store has, and
 * those that it takes from another store chunk by chunk. Everything that they consist of is pinned before
 * the store is asked for it, and counts for the publication.
 */
export class CopiedChunks {
  readonly #place: CopiedChunksPlace
  readonly #present = new Set<string>()
  #form: Promise<LayerForm> | undefined
  #plannedForm: Promise<LayerForm> | undefined
  /** Frames on their way: a chunk may repeat. */
  readonly #copying = new Map<string, Promise<boolean>>()
  /** What one listing shows, for plans. */
  readonly #seen: PresentChunks
  /** Frames that a plan has counted. */
  readonly #planned = new Set<string>()

  constructor(place: CopiedChunksPlace) {
    this.#place = place
    this.#seen = new PresentChunks(place.backend)
  }

  /** As {@link has}, without a pin, which proves nothing. */
  look(layer: Descriptor, options?: CallOptions): Promise<boolean> {
    return isInChunks(this.#place.backend, layer, options)
  }

  /** True where the store has the recipe of the layer, and every chunk that it names. */
  async has(layer: Descriptor, options: CallOptions = {}): Promise<boolean> {
    if (this.#present.has(layer.digest)) return true
    const recipe = await findRecipe(this.#place.backend, layer, options)
    if (!recipe) return false
    let isWhole = true
    await this.#pin(recipe, options)
    await forEachChunk(recipe, options, async (chunk, call) => {
      if (!(await this.#hasChunk(chunk, call))) isWhole = false
    })
    const { protection } = this.#place
    if (!isWhole || !(await protection.has(layer, options, 'recipes'))) return false
    this.#present.add(layer.digest)
    return true
  }

  /**
   * Copies a layer that another store holds in chunks: those that are not here, its table, and the recipe
   * last, once the chunks were compared with the layer's digest as a whole. The table is made of what they
   * hold: that of the other store may say anything. False where that store holds the layer otherwise, or
   * this one is to have it whole. Throws `INTEGRITY` and `NOT_FOUND` for a chunk that is damaged or missing
   * there.
   */
  async take(
    layer: Descriptor,
    from: StorageBackend,
    options: CallOptions = {},
  ): Promise<MountedChunks | false> {
    const recipe = await findRecipe(from, layer, options)
    if (!recipe || !(await this.#isTaken(options))) return false
    const sent = { chunks: 0, bytes: 0 }
    await this.#pin(recipe, options)
    const { digest } = layer
    const chunks = verifiedChunks(new ChunkedLayer(from, digest, recipeOf(recipe)), recipe, options)
    const copy = async (
      chunk: EncodedChunk,
      signal: AbortSignal,
    ): Promise<Uint8Array | undefined> => {
      const [content, isSent] = await Promise.all([
        contentOf(chunk),
        this.#copyChunk(chunk, { signal }),
      ])
      if (isSent) count(sent, chunk)
      return content
    }
    const table = new TableBuilder()
    for await (const content of mapInOrder(chunks, CHUNKS_AT_ONCE, copy, options.signal)) {
      if (content) await table.push(content)
      else table.giveUp()
    }
    await writeLayerTable(this.#place, table, recipe, options)
    await writeChunkRecipe(this.#place.protection, layer, recipe, options)
    this.#present.add(digest)
    return { chunks: recipe.chunks.length, sent }
  }

  /** What {@link take} would give, without writing anything; `undefined` where it gives false. */
  async plan(
    layer: Descriptor,
    from: StorageBackend,
    options: CallOptions = {},
  ): Promise<MountedChunks | undefined> {
    const recipe = await findRecipe(from, layer, options)
    if (!recipe || !(await this.#wouldTake(options))) return undefined
    const sent = { chunks: 0, bytes: 0 }
    await forEachChunk(recipe, options, async (chunk, call) => {
      if (this.#planned.has(chunk.frame) || (await this.#seesChunk(chunk, call))) return
      this.#planned.add(chunk.frame)
      count(sent, chunk)
    })
    return { chunks: recipe.chunks.length, sent }
  }

  #pin({ layer, chunks }: ChunkRecipe, options: CallOptions): Promise<void> {
    const digests = [layer.digest, ...chunks.map(({ raw }) => raw)]
    return this.#place.protection.protect(digests, options)
  }

  #hasChunk(chunk: StoredChunk, options: CallOptions): Promise<boolean> {
    return this.#place.protection.has(chunkPiece(chunk), options, framePlace(chunk.frame))
  }

  /** As {@link #hasChunk}, without a pin. */
  async #seesChunk(chunk: StoredChunk, options: CallOptions): Promise<boolean> {
    if (!(await this.#seen.mayHave(chunk.raw, options))) return false
    const info = await this.#place.backend.head(chunkFrameKey(chunk), options)
    return info?.size === chunk.frameSize
  }

  /** False for a chunk that is there, or that is being copied already. */
  async #copyChunk(chunk: EncodedChunk, options: CallOptions): Promise<boolean> {
    const running = this.#copying.get(chunk.frame)
    if (running) {
      await running
      return false
    }
    const copying = this.#copyMissing(chunk, options)
    this.#copying.set(chunk.frame, copying)
    try {
      return await copying
    } finally {
      this.#copying.delete(chunk.frame)
    }
  }

  async #copyMissing(chunk: EncodedChunk, options: CallOptions): Promise<boolean> {
    if (await this.#hasChunk(chunk, options)) return false
    const { backend, protection } = this.#place
    const write = async (): Promise<boolean> => {
      await backend.put(chunkFrameKey(chunk), chunk.bytes, {
        ...options,
        digest: chunk.frame,
        mediaType: MEDIA_TYPE.octetStream,
        storageClass: 'tiered',
      })
      return true
    }
    return protection.put(chunkPiece(chunk), write, options, framePlace(chunk.frame))
  }

  /** Stamps the bucket with the first layer. */
  async #isTaken(options: CallOptions): Promise<boolean> {
    this.#form ??= beginLayerForm(this.#place, undefined, options)
    return (await this.#form) === 'chunks'
  }

  async #wouldTake(options: CallOptions): Promise<boolean> {
    this.#plannedForm ??= plannedLayerForm(this.#place, undefined, options)
    return (await this.#plannedForm) === 'chunks'
  }
}

function count(sent: { chunks: number; bytes: number }, { frameSize }: StoredChunk): void {
  sent.chunks += 1
  sent.bytes += frameSize
}

/** True where a store has a layer in chunks of format 2, and each of them has its size. */
export async function isInChunks(
  backend: StorageBackend,
  layer: Descriptor,
  options: CallOptions = {},
): Promise<boolean> {
  const recipe = await findRecipe(backend, layer, options)
  if (!recipe) return false
  let isWhole = true
  await forEachChunk(recipe, options, async (chunk, call) => {
    const info = await backend.head(chunkFrameKey(chunk), call)
    if (info?.size !== chunk.frameSize) isWhole = false
  })
  return isWhole
}

/** Each chunk once, several at a time. */
function forEachChunk(
  { chunks }: ChunkRecipe,
  { signal }: CallOptions,
  task: (chunk: StoredChunk, options: CallOptions) => Promise<void>,
): Promise<void> {
  const unique = new Map(chunks.map((chunk) => [chunk.frame, chunk])).values()
  const run = (chunk: StoredChunk, inner: AbortSignal): Promise<void> =>
    task(chunk, { signal: inner })
  return forEachConcurrent(unique, CHUNKS_AT_ONCE, run, signal)
}

/** The recipe of a layer that a store may hold in chunks; none that contradicts itself or the layer. */
async function findRecipe(
  backend: StorageBackend,
  { digest, size, mediaType }: Descriptor,
  options: CallOptions,
): Promise<ChunkRecipe | undefined> {
  if (mediaType !== MEDIA_TYPE.ociLayerZstd) return undefined
  try {
    const recipe = await readChunkRecipe(backend, digest, options)
    return recipe?.layer.size === size ? recipe : undefined
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return undefined
    throw error
  }
}

/** What a frame decodes to; `undefined` for one that is none of the length that its recipe has. */
async function contentOf({ bytes, size }: EncodedChunk): Promise<Uint8Array | undefined> {
  const content = await decompressFrame(bytes, size).catch(() => undefined)
  return content?.length === size ? content : undefined
}

/** The chunks of a layer with their frames. Throws `INTEGRITY` at the end of a stream that is not the layer. */
async function* verifiedChunks(
  source: ChunkedLayer,
  { layer, chunks }: ChunkRecipe,
  options: CallOptions,
): AsyncGenerator<EncodedChunk, void> {
  const digester = new Digester()
  let i = 0
  for await (const bytes of source.frames(options)) {
    digester.update(bytes)
    const chunk = chunks[i++]
    if (chunk) yield { ...chunk, bytes }
  }
  const actual = digester.digest()
  if (actual === layer.digest) return
  throw new S3loError('INTEGRITY', `expected ${layer.digest}, got ${actual}`, {
    hint: source.otherStreamHint,
  })
}
