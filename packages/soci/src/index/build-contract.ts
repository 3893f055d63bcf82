import type { Readable } from 'node:stream'
import type { Descriptor, ManifestDocument, Platform } from '@s3lo/core'
import type { CallOptions, ProgressOptions } from '@s3lo/core/plugin'
import type { Index, IndexVersion, Optimization } from './soci-index.ts'

/**
 * Where zTOCs and indexes go and come from, by digest. An `ImageStore` may be given instead, and is
 * used through {@link StoreArtifacts}.
 */
export interface SociBlobStore {
  exists(descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  push(descriptor: Descriptor, open: () => Promise<Readable>, options?: CallOptions): Promise<void>
  fetch(descriptor: Descriptor, options?: CallOptions): Promise<Readable>
  /**
   * Attaches an index of version 1 to its image's manifest, its blobs first. Without it the index
   * is pushed like a blob, and the store must know from its `subject` what it belongs to.
   */
  attach?(
    index: ManifestDocument,
    manifest: Descriptor,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void>
}

/** How indexes are built. */
export interface IndexBuilderOptions extends ProgressOptions {
  /** Whose images are indexed: where an index of version 1 is attached in a store, and what records name. */
  readonly repository?: string | undefined
  /** Uncompressed bytes of a span. Default: 4 MiB. */
  readonly spanSize?: number | undefined
  /** Compressed bytes a layer must have to be indexed. Default: 10 MiB. */
  readonly minLayerSize?: number | undefined
  readonly buildToolIdentifier?: string | undefined
  readonly optimizations?: readonly Optimization[] | undefined
  /** Builds zTOCs that are there already. Default: false. */
  readonly forceRecreateZtocs?: boolean | undefined
  /** Layers that are indexed at once. Default: one for each processor, four at most. */
  readonly concurrency?: number | undefined
  /** The clock that records are dated by. */
  readonly now?: (() => Date) | undefined
}

export interface BuildOptions extends CallOptions {
  /** Default: the host's. */
  readonly platform?: Platform | undefined
  readonly version?: IndexVersion | undefined
}

/** A layer that has no zTOC, and why. */
export interface SkippedLayer {
  readonly digest: string
  readonly reason: string
}

/** An index with where it came from. */
export interface IndexWithMetadata {
  readonly index: Index
  readonly document: ManifestDocument
  readonly platform: Platform
  /** Of the image that was asked for. */
  readonly imageDigest: string
  /** Of the image's manifest for the platform. */
  readonly manifest: Descriptor
  readonly createdAt: Date
  readonly skipped: readonly SkippedLayer[]
  /** How many zTOCs were there already. */
  readonly reused: number
}
