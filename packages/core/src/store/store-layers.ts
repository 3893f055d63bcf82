import { Readable } from 'node:stream'
import { encodeFrame } from '../chunk/frame.ts'
import { cutChunks } from '../chunk/cut-chunks.ts'
import { encodeLayer } from '../chunk/encode-layer.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { Publication } from '../contract/image-target.ts'
import type {
  CompressedLayer,
  CompressionResult,
  LayerCompressor,
  UncompressedLayer,
} from '../contract/layer-compressor.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { MANIFESTS_PREFIX } from '../layout/keys.ts'
import { parseManifestKey } from '../layout/parse-key.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { algorithmOf, digestOf } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { readAll } from '../stream/read-all.ts'
import { verified } from '../stream/verify-digest.ts'
import { orImageFault } from './image-fault.ts'
import { type KnownLayersPlace, readKnownLayers } from './known-layers.ts'
import type { LayerForm } from './layer-form.ts'
import type { ChunkWriter } from './write-chunks.ts'

/** A smaller layer (bytes, uncompressed) is one blob. */
const MIN_CHUNKED_BYTES = 1024 * 1024

/** Images of a repository whose layers are known beforehand, beside the one that the tag names. */
const NEWEST_IMAGES = 2

/** Keys of a repository that are listed to find its newest images. */
const MOST_LISTED = 2000

/** What a publication of a store lends. */
interface StoreLayersPlace extends KnownLayersPlace {
  readonly publication: Required<Pick<Publication, 'has' | 'put' | 'protect'>>
  /** Stores content of unknown digest and size. */
  readonly ingest: (
    content: Readable,
    mediaType: string,
    options: CallOptions,
  ) => Promise<Descriptor>
  /** Stores content in chunks. */
  readonly chunks: Pick<ChunkWriter, 'know' | 'write'>
  /** Asked with the first layer. */
  readonly form: (options: CallOptions) => Promise<LayerForm>
}

/**
 * Uncompressed layers on their way into a store: large ones in chunks of format 2, small ones as one zstd
 * blob. A bucket that is stamped with another format gets zstd blobs only.
 */
export class StoreLayers implements LayerCompressor {
  readonly known = new Map<string, CompressedLayer>()
  readonly #place: StoreLayersPlace
  readonly #reference: Reference
  /** Blobs in chunks that are protected and count for the publication. */
  readonly #chunked = new Set<string>()
  #form: Promise<LayerForm> | undefined

  constructor(place: StoreLayersPlace, reference: Reference) {
    this.#place = place
    this.#reference = reference
  }

  /** True for a layer in chunks that was found or stored here. */
  holds({ digest }: Descriptor): boolean {
    return this.#chunked.has(digest)
  }

  async begin(options: CallOptions = {}): Promise<boolean> {
    return (await this.#formOf(options)) !== 'given'
  }

  async look(where: 'tag' | 'newest', options: CallOptions = {}): Promise<void> {
    const references =
      where === 'tag'
        ? [this.#reference]
        : await newestTags(this.#place.backend, this.#reference, options)
    for (const reference of references) await this.#learn(reference, options)
  }

  async put(
    content: Readable,
    layer: UncompressedLayer,
    options: CallOptions = {},
  ): Promise<CompressionResult> {
    const { digest, size } = layer
    const checked = digest === undefined ? content : verified(content, { digest, size })
    const result = await this.#put(checked, layer, options)
    this.known.set(result.layer.diffId, result.layer)
    return result
  }

  async #put(
    content: Readable,
    layer: UncompressedLayer,
    options: CallOptions,
  ): Promise<CompressionResult> {
    if (layer.size < MIN_CHUNKED_BYTES) return this.#putSmall(content, layer, options)
    return (await this.#formOf(options)) === 'chunks'
      ? this.#putChunks(content, layer, options)
      : this.#putWhole(content, layer, options)
  }

  async #putChunks(
    content: Readable,
    { digest, size }: UncompressedLayer,
    options: CallOptions,
  ): Promise<CompressionResult> {
    const known = digest !== undefined && algorithmOf(digest) === 'sha256' ? digest : undefined
    const { recipe, sent } = await this.#place.chunks.write(content, {
      ...options,
      digest: known,
      size,
    })
    const diffId = digest ?? recipe.content.digest
    assertSize(diffId, size, recipe.content.size)
    const blob = { mediaType: MEDIA_TYPE.ociLayerZstd, ...recipe.layer }
    this.#chunked.add(blob.digest)
    const layer = { diffId, size, blob }
    const chunks = recipe.chunks.length
    return { layer, chunks, sent: { blobs: Math.min(1, sent.chunks), ...sent } }
  }

  async #putSmall(
    content: Readable,
    { digest, size }: UncompressedLayer,
    options: CallOptions,
  ): Promise<CompressionResult> {
    const raw = await readAll(content, size, digest ?? 'a layer')
    const diffId = digest ?? digestOf(raw)
    assertSize(diffId, size, raw.byteLength)
    const frame = await encodeFrame(raw)
    const blob = { mediaType: MEDIA_TYPE.ociLayerZstd, digest: digestOf(frame), size: frame.length }
    const { publication } = this.#place
    await publication.protect([blob.digest], options)
    const isThere = await publication.has(blob, options)
    const open = (): Promise<Readable> =>
      Promise.resolve(Readable.from([frame], { objectMode: false }))
    if (!isThere) await publication.put(blob, open, options)
    return { layer: { diffId, size, blob }, ...wholeBlob(isThere ? 0 : frame.length) }
  }

  async #putWhole(
    content: Readable,
    { digest, size }: UncompressedLayer,
    options: CallOptions,
  ): Promise<CompressionResult> {
    let raw = { digest: '', size: 0 }
    async function* frames(): AsyncGenerator<Uint8Array> {
      const layer = encodeLayer(cutChunks(content), options)
      let step = await layer.next()
      for (; !step.done; step = await layer.next()) yield step.value.bytes
      raw = step.value.content
      assertSize(digest ?? raw.digest, size, raw.size)
    }
    const stream = Readable.from(frames(), { objectMode: false })
    const blob = await this.#place.ingest(stream, MEDIA_TYPE.ociLayerZstd, options)
    return { layer: { diffId: digest ?? raw.digest, size, blob }, ...wholeBlob(blob.size) }
  }

  async #learn(reference: Reference, options: CallOptions): Promise<void> {
    const read = (): ReturnType<typeof readKnownLayers> =>
      readKnownLayers(this.#place, reference, options)
    const found = await orImageFault(read)
    if (!Array.isArray(found)) return
    for (const { layer, recipe } of found) {
      if (!this.known.has(layer.diffId)) this.known.set(layer.diffId, layer)
      if (!recipe) continue
      this.#chunked.add(recipe.layer.digest)
      for (const chunk of recipe.chunks) this.#place.chunks.know(chunk)
    }
  }

  #formOf(options: CallOptions): Promise<LayerForm> {
    this.#form ??= this.#place.form(options)
    return this.#form
  }
}

function wholeBlob(bytes: number): Pick<CompressionResult, 'chunks' | 'sent'> {
  return { chunks: 0, sent: { blobs: Math.min(1, bytes), chunks: 0, bytes } }
}

function assertSize(diffId: string, expected: number, actual: number): void {
  if (actual === expected) return
  throw new S3loError('INTEGRITY', `layer ${diffId}: expected ${expected} bytes, got ${actual}`)
}

/** The tags of a repository that were written last, but for the one that is given. */
async function newestTags(
  backend: StorageBackend,
  { name, tag: own }: Reference,
  options: CallOptions,
): Promise<readonly Reference[]> {
  const tags: { readonly reference: Reference; readonly time: number }[] = []
  let listed = 0
  for await (const { key, lastModified } of backend.list(`${MANIFESTS_PREFIX}${name}/`, options)) {
    if (++listed > MOST_LISTED) break
    const parsed = parseManifestKey(key)
    if (parsed?.image !== name || parsed.tag === own) continue
    tags.push({ reference: { name, tag: parsed.tag }, time: lastModified.getTime() })
  }
  const newest = tags.toSorted((a, b) => b.time - a.time).slice(0, NEWEST_IMAGES)
  return newest.map(({ reference }) => reference)
}
