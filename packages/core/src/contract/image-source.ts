import type { Readable } from 'node:stream'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { Platform } from '../oci/platform.ts'
import type { ByteRange, CallOptions } from './call-options.ts'
import type { ProgressOptions } from './progress.ts'

export interface FetchOptions extends CallOptions {
  readonly range?: ByteRange | undefined
  /**
   * Whose manifest it is, where a source holds several repositories and keeps some manifests in one
   * of them: a referrer is found with its repository alone.
   */
  readonly repository?: string | undefined
}

/** The uncompressed content of a layer, which its source holds apart from the blob. */
export interface PlainLayer {
  /**
   * Of the uncompressed content, as the source records it. Nothing binds it to the blob's digest: a
   * caller uses the content only where the image's config names this digest (`rootfs.diff_ids`).
   */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  /** Opens the content. A whole read is verified against {@link digest} while it passes. */
  open(options?: FetchOptions): Promise<Readable>
}

/**
 * Images to read from, in any order: a store, a registry, a layout on disk.
 * `resolve` and `fetch` throw `NOT_FOUND` for what is not there.
 */
export interface ImageSource {
  readonly kind: 'random-access'
  /** For messages: `local://./store`, `oci layout ./dir`. */
  readonly name: string
  /** The descriptor that a tag or digest names. */
  resolve(reference: Reference, options?: CallOptions): Promise<Descriptor>
  /**
   * The content of a descriptor. A whole read is verified while it passes: the stream fails with
   * `INTEGRITY` unless size and digest are right. A ranged read cannot be.
   */
  fetch(descriptor: Descriptor, options?: FetchOptions): Promise<Readable>
  /** The layer's uncompressed content where the source holds it; `undefined` where it does not. */
  plainLayer?(descriptor: Descriptor, options?: CallOptions): Promise<PlainLayer | undefined>
  tags?(repository: string, options?: CallOptions): AsyncIterable<string>
  /**
   * Of a source that lists them at once: the tags of what refers to manifests of the repository, as
   * cosign names them. Without this method each such tag is resolved.
   */
  referrerTags?(repository: string, options?: CallOptions): AsyncIterable<string>
  /**
   * True where each referrer is a record of its own, so that a damaged one (`INTEGRITY`, after all
   * others) says nothing about the rest.
   */
  readonly hasReferrerRecords?: boolean | undefined
  /**
   * What refers to `subject` within a repository (OCI image spec v1.1, "subject"): signatures, SBOMs,
   * attestations. What refers to it in another repository is not among them.
   */
  referrers?(
    repository: string,
    subject: Descriptor,
    options?: CallOptions,
  ): AsyncIterable<Descriptor>
  close?(): Promise<void>
}

/** The half of a source that gives content. */
export type ContentSource = Pick<ImageSource, 'name' | 'fetch' | 'plainLayer'>

/** Which of an image's platforms a streaming source shall give. */
export interface TransferOptions extends CallOptions, ProgressOptions {
  /** The one to give; without it the only one, else the host's. */
  readonly platform?: Platform | undefined
  /** The whole index with its attestations; every child is required. */
  readonly allPlatforms?: boolean | undefined
}

/** Where a streaming source puts what it reads. Every put is verified; what a put refuses was not stored. */
export interface BlobSink {
  /** True when the target holds the blob whole: its content need not be given. */
  has(descriptor: Descriptor): Promise<boolean>
  /** Stores the content, verified against the descriptor while it passes. */
  put(descriptor: Descriptor, content: Readable): Promise<void>
  /** Stores content of unknown digest. Resolves to its descriptor. `size` is bytes. */
  ingest(content: Readable, size: number, mediaType: string): Promise<Descriptor>
}

/** A source that can be read only once, in its own order: what an engine saves. */
export interface StreamingSource {
  readonly kind: 'streaming'
  readonly name: string
  /** True when `document` is what `transfer` would give for the reference, so that nothing need be read. */
  matches(
    reference: Reference,
    document: ManifestDocument,
    options?: TransferOptions,
  ): Promise<boolean>
  /** Gives every blob and child manifest to the sink, in one pass, and returns the root manifest. */
  transfer(
    reference: Reference,
    sink: BlobSink,
    options?: TransferOptions,
  ): Promise<ManifestDocument>
  close?(): Promise<void>
}
