import { TableBuilder } from '../chunk/build-table.ts'
import { type LayerTable, parseLayerTable } from '../chunk/layer-table.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { LayerReader } from '../contract/layer-reader.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { TableLayer } from '../filesystem/table-layer.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { readLayerTable } from '../store/read-table.ts'
import { putLayerTable } from '../store/write-table.ts'
import type { PlainLayers } from './plain-layers.ts'

/** The tables of contents of an image's layers, where the store holds them. */
export class LayerTables {
  readonly #backend: StorageBackend
  readonly #plain: PlainLayers
  readonly #onFetched: (bytes: number) => void

  constructor(backend: StorageBackend, plain: PlainLayers, onFetched: (bytes: number) => void) {
    this.#backend = backend
    this.#plain = plain
    this.#onFetched = onFetched
  }

  /**
   * `undefined` where the layer has none. Throws `INTEGRITY` and `UNSUPPORTED` for one that cannot be
   * used.
   */
  async open(layer: Descriptor, options: CallOptions): Promise<LayerReader | undefined> {
    // Layers of no other media type are stored in chunks.
    if (layer.mediaType !== MEDIA_TYPE.ociLayerZstd) return undefined
    const stored = await readLayerTable(this.#backend, layer.digest, options)
    if (!stored) return undefined
    this.#onFetched(stored.bytes)
    const { table } = stored
    if (table.layer.size !== layer.size) {
      throw new S3loError(
        'INTEGRITY',
        `the table of layer ${layer.digest}: expected ${layer.size} bytes, got ${table.layer.size}`,
      )
    }
    return this.#read(table, layer)
  }

  /** Makes the table of a layer in chunks, all of which is read. `undefined` for one that has none. */
  async make(layer: Descriptor, options: CallOptions): Promise<LayerReader | undefined> {
    const content = await this.#plain.find(layer, options)
    if (!content) return undefined
    const table = new TableBuilder()
    const body = await content.open(options)
    for await (const bytes of body as AsyncIterable<Uint8Array>) await table.push(bytes)
    const { digest, size } = content
    const subject = { layer, content: { digest, size } }
    const stored = await table.finish(subject)
    if (!stored) return undefined
    await putLayerTable(this.#backend, layer.digest, stored, options)
    return this.#read(await parseLayerTable(stored, layer.digest), layer)
  }

  #read(table: LayerTable, layer: Descriptor): LayerReader {
    return new TableLayer(table, (call) => this.#plain.find(layer, call))
  }
}
