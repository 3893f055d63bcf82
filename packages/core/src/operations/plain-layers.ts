import type { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, PlainLayer } from '../contract/image-source.ts'
import { isS3loError } from '../errors.ts'
import { MAX_CONFIG_BYTES, parseImageConfig } from '../oci/config.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readAll } from '../stream/read-all.ts'
import { metered } from '../stream/verify-digest.ts'

/** The uncompressed content of an image's layers, where the store holds it. */
export class PlainLayers {
  readonly #store: ImageStore
  readonly #image: ManifestDocument
  readonly #onFetched: (bytes: number) => void
  #diffIds: Promise<readonly string[]> | undefined

  /** @param onFetched Of what is read, the share of the blob (bytes). */
  constructor(store: ImageStore, image: ManifestDocument, onFetched: (bytes: number) => void) {
    this.#store = store
    this.#image = image
    this.#onFetched = onFetched
  }

  /**
   * `undefined` where the layer's blob is to be read: the store holds nothing else, or the image's config
   * does not name what it holds. Throws `INTEGRITY`.
   */
  async find(layer: Descriptor, options: CallOptions): Promise<PlainLayer | undefined> {
    const { manifest } = this.#image
    // Layers of no other media type are stored in chunks.
    if (manifest.kind !== 'manifest' || layer.mediaType !== MEDIA_TYPE.ociLayerZstd)
      return undefined
    const plain = await this.#store.plainLayer(layer, options)
    if (!plain) return undefined
    this.#diffIds ??= this.#readDiffIds(manifest.config, options)
    const diffIds = await this.#diffIds
    const isNamed = manifest.layers.some(
      ({ digest }, i) => digest === layer.digest && diffIds[i] === plain.digest,
    )
    return isNamed ? this.#counted(plain, layer) : undefined
  }

  #counted(plain: PlainLayer, { size }: Descriptor): PlainLayer {
    const share = size / plain.size
    const open = async (options?: FetchOptions): Promise<Readable> =>
      metered(await plain.open(options), (bytes) => this.#onFetched(bytes * share))
    return { ...plain, open }
  }

  /** None where the config cannot be read: the blobs of the layers can be. */
  async #readDiffIds(config: Descriptor, options: CallOptions): Promise<readonly string[]> {
    const diffIds = await orImageFault(async () => {
      const body = await this.#store.fetch(config, options)
      const content = await readAll(body, MAX_CONFIG_BYTES, `image config ${config.digest}`)
      return parseImageConfig(content, config.digest).diffIds
    })
    return isS3loError(diffIds) ? [] : diffIds
  }
}
