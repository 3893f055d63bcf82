import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import type { CallOptions } from './call-options.ts'
import type { ImageSource } from './image-source.ts'
import type { ProgressOptions } from './progress.ts'
import type { StorageBackend } from './storage-backend.ts'

/** Reads single files of a layer without the bytes before them. */
export interface LayerReader {
  /** In the order of the tar. */
  readonly entries: readonly TocEntry[]
  /** The content of one of the entries; no byte is given that was not verified. Throws `INTEGRITY`. */
  read(entry: TocEntry, options?: CallOptions): AsyncIterable<Uint8Array>
  /**
   * Compares a small part of the layer with its index: done before anything is concluded from what
   * the index does not list. Throws `INTEGRITY` where they disagree.
   */
  probe?(options?: CallOptions): Promise<void>
}

/** Where content of one repository is read. */
export interface LayerSource extends Pick<ImageSource, 'name' | 'fetch'> {
  /** What refers to a manifest in the repository. */
  referrers?(subject: Descriptor, options?: CallOptions): AsyncIterable<Descriptor>
}

/** What a layer reader works with. Bytes that are read through it are counted. */
export interface LayerReaderContext extends CallOptions {
  /** What the tag or digest names: the manifest itself, or the index that lists it. */
  readonly root: ManifestDocument
  /** The manifest of the platform that is read. */
  readonly image: ManifestDocument
  readonly source: LayerSource
  /** One document for each layer, which lives as long as the layer; of this reader alone. */
  readonly indexes: {
    /** `undefined` when none is kept. */
    read(layer: Descriptor, options?: CallOptions): Promise<Uint8Array | undefined>
    write(layer: Descriptor, content: Uint8Array, options?: CallOptions): Promise<void>
  }
}

/** An index that contradicts its layer. */
export interface WrongIndex {
  /** Digest of the layer. */
  readonly layer: string
  /** Which index it is, and what is wrong with it. */
  readonly message: string
}

/** The result of comparing indexes with their layers. */
export interface IndexCheck {
  /** How many indexes were compared, those that are wrong among them. */
  readonly compared: number
  readonly wrong: readonly WrongIndex[]
}

/** What a layer reader contribution's `load()` gives. */
export interface LayerReaderModule {
  /**
   * Resolves to `undefined` when the layer has no index; the caller then streams the layer. Throws
   * `INTEGRITY`, `UNSUPPORTED` or `NOT_FOUND` for an index that is damaged, unknown or incomplete;
   * the caller reports that and streams the layer. The layer itself is not read here.
   */
  openLayer(layer: Descriptor, context: LayerReaderContext): Promise<LayerReader | undefined>
  /** Makes an index of the layer and keeps it; `undefined` for a layer that cannot have one. */
  indexLayer(layer: Descriptor, context: LayerReaderContext): Promise<LayerReader | undefined>
  /**
   * Compares every index of the layers that the store has with the layer itself, which is read
   * whole. A layer that cannot be read whole is left out.
   */
  checkIndexes?(
    backend: StorageBackend,
    layers: Iterable<Descriptor>,
    options?: CallOptions & ProgressOptions,
  ): Promise<IndexCheck>
}
