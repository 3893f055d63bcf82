import type { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { Publication } from '../contract/image-target.ts'
import type {
  CompressionResult,
  LayerCompressor,
  UncompressedLayer,
} from '../contract/layer-compressor.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isUncompressed, uncompressedLayers, withLayers } from '../oci/compressed-manifest.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { BlobReport } from '../progress/blob-report.ts'
import type { CopyGraphStats } from './copy-graph.ts'
import type { GraphPlan, PlannedBlob } from './plan.ts'
import type { TransferRequest } from './transfer-request.ts'

/** Layers from which the encoding, and not the wait for answers, takes the time (bytes). */
const LARGE_LAYER_BYTES = 1024 * 1024
const SMALL_AT_ONCE = 8

/** One image's uncompressed layers on their way into a target that stores them compressed. */
export class LayerCompression {
  readonly #compressor: LayerCompressor
  readonly #options: CallOptions & ProgressOptions
  readonly #stats = { blobsCopied: 0, blobsSkipped: 0, bytesCopied: 0, chunks: 0, chunksCopied: 0 }

  #begun: Promise<boolean> | undefined
  #newest: Promise<void> | undefined
  #isOn = false

  private constructor(compressor: LayerCompressor, options: CallOptions & ProgressOptions) {
    this.#compressor = compressor
    this.#options = options
  }

  /**
   * `undefined` where layers are to stay as they are: nothing else is asked for, the target takes no
   * others, or an index is wanted, which says things about its manifests by their digests.
   */
  static of(
    publication: Publication,
    reference: Reference,
    { compressLayers = false, selection, signal, onProgress }: TransferRequest,
  ): LayerCompression | undefined {
    if (!compressLayers || selection.kind === 'all') return undefined
    const compressor = publication.compressLayers?.(reference)
    return compressor && new LayerCompression(compressor, { signal, onProgress })
  }

  get stats(): CopyGraphStats {
    return this.#stats
  }

  /** False where the target decides to take uncompressed layers as they are. */
  begin(): Promise<boolean> {
    this.#begun ??= this.#compressor.begin(this.#options)
    return this.#begun.then((isOn) => (this.#isOn = isOn))
  }

  /**
   * Of a layer that a stream is about to give: true for an uncompressed one that is to be put here. The
   * first one begins, and makes the layers of the newest images known.
   */
  async takes(layer: Pick<Descriptor, 'mediaType'>): Promise<boolean> {
    if (!isUncompressed(layer) || !(await this.begin())) return false
    this.#newest ??= this.#compressor.look('newest', this.#options)
    await this.#newest
    return true
  }

  /** Looks for the layers of an image; the image as it is stored, where all of them are known. */
  async find(root: ManifestDocument): Promise<ManifestDocument | undefined> {
    const layers = uncompressedLayers(root)
    const isKnown = (): boolean => layers.every((layer) => this.knows(layer))
    await this.#compressor.look('tag', this.#options)
    if (!isKnown()) await this.#compressor.look('newest', this.#options)
    return isKnown() ? this.compressed(root) : undefined
  }

  /** True for an uncompressed layer that the target has. */
  knows(layer: Descriptor): boolean {
    return isUncompressed(layer) && this.#compressor.known.has(layer.digest)
  }

  /** The image with the layers that the target has in the place of those they are made of. */
  compressed(root: ManifestDocument): ManifestDocument {
    if (!this.#isOn || uncompressedLayers(root).length === 0) return root
    const { known } = this.#compressor
    return withLayers(root, (layer) =>
      isUncompressed(layer) ? known.get(layer.digest)?.blob : undefined,
    )
  }

  /**
   * The image that the target's tag names, with the layers that its source had, of those that are known;
   * others stay.
   */
  async uncompressed(root: ManifestDocument): Promise<ManifestDocument> {
    const { manifest } = root
    if (manifest.kind !== 'manifest' || manifest.layers.every(isUncompressed)) return root
    await this.#compressor.look('tag', this.#options)
    const layers = [...this.#compressor.known.values()]
    return withLayers(root, ({ digest }) => {
      const found = layers.find(({ blob }) => blob.digest === digest)
      if (!found) return undefined
      // Where its size is not recorded, a source that counts on it finds another image.
      const { diffId, size = found.blob.size } = found
      return { mediaType: MEDIA_TYPE.ociLayer, digest: diffId, size }
    })
  }

  /** Stores the layers of a plan that are not known, and says of each what became of it. */
  async store(source: ImageSource, { blobs }: Pick<GraphPlan, 'blobs'>): Promise<void> {
    const layers = blobs.filter(({ descriptor }) => isUncompressed(descriptor))
    const isLarge = ({ descriptor }: PlannedBlob): boolean => descriptor.size >= LARGE_LAYER_BYTES
    const lanes = [
      { layers: layers.filter(isLarge), atOnce: 1 },
      { layers: layers.filter((layer) => !isLarge(layer)), atOnce: SMALL_AT_ONCE },
    ]
    const storeOne = (blob: PlannedBlob, signal: AbortSignal): Promise<void> =>
      this.#storeOne(source, blob, signal)
    await forEachConcurrent(
      lanes,
      lanes.length,
      (lane, signal) => forEachConcurrent(lane.layers, lane.atOnce, storeOne, signal),
      this.#options.signal,
    )
  }

  /** Stores the content of a layer, and counts it. */
  async put(
    content: Readable,
    layer: UncompressedLayer,
    signal: AbortSignal | undefined = this.#options.signal,
  ): Promise<CompressionResult> {
    const result = await this.#compressor.put(content, layer, { signal })
    const { chunks, sent } = result
    this.#stats.blobsCopied += sent.blobs
    this.#stats.blobsSkipped += 1 - sent.blobs
    this.#stats.bytesCopied += sent.bytes
    this.#stats.chunks += chunks
    this.#stats.chunksCopied += sent.chunks
    return result
  }

  async #storeOne(source: ImageSource, blob: PlannedBlob, signal: AbortSignal): Promise<void> {
    const report = new BlobReport(blob, this.#options)
    const { descriptor } = blob
    if (this.knows(descriptor)) {
      this.#stats.blobsSkipped++
      report.end('skip')
      return
    }
    report.start()
    const content = report.meter(await source.fetch(descriptor, { signal }))
    const { sent } = await this.put(content, descriptor, signal)
    report.end(sent.blobs > 0 ? 'done' : 'skip')
  }
}
