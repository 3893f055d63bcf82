import type { Readable } from 'node:stream'
import type { Descriptor } from '../oci/descriptor.ts'
import type { CallOptions } from './call-options.ts'

/** A layer that a target stores compressed. */
export interface CompressedLayer {
  /** The digest of the uncompressed content (OCI image spec, "rootfs.diff_ids"). */
  readonly diffId: string
  /** Bytes of the uncompressed content; absent where that is not recorded. */
  readonly size?: number | undefined
  /** The blob. */
  readonly blob: Descriptor
}

/** What a target did with uncompressed content. */
export interface CompressionResult {
  readonly layer: CompressedLayer
  /** Of the layer; 0 for one that is stored whole. */
  readonly chunks: number
  /** What the target did not have. `blobs`: 0 or 1, the layer. */
  readonly sent: { readonly blobs: number; readonly chunks: number; readonly bytes: number }
}

/** Uncompressed content of a layer. */
export interface UncompressedLayer {
  /** Its diff ID, where that is known before it is read. */
  readonly digest?: string | undefined
  /** Bytes. */
  readonly size: number
}

/**
 * How one image's uncompressed layers get into a target that stores them compressed: as blobs whose
 * digests come with the encoding. What is found and stored is protected as the publication's.
 */
export interface LayerCompressor {
  /**
   * To be asked before anything is put, once there is an uncompressed layer: false where the target takes
   * such layers as they are. A store decides, and notes it.
   */
  begin(options?: CallOptions): Promise<boolean>
  /** The layers that the target is known to have, by diff ID. */
  readonly known: ReadonlyMap<string, CompressedLayer>
  /**
   * Looks which layers the target has: those of the image that the tag names now, or of the newest
   * ones of its repository. What cannot be read, or changes meanwhile, is not known.
   */
  look(where: 'tag' | 'newest', options?: CallOptions): Promise<void>
  /** Stores content, verified where its digest is given. Throws `INTEGRITY`. */
  put(
    content: Readable,
    layer: UncompressedLayer,
    options?: CallOptions,
  ): Promise<CompressionResult>
}
