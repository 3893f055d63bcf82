import type { Readable } from 'node:stream'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { CallOptions } from './call-options.ts'
import type { ContentSource, ImageSource } from './image-source.ts'
import type { LayerCompressor } from './layer-compressor.ts'
import type { ProgressOptions } from './progress.ts'

export interface TagOptions extends CallOptions, ProgressOptions {
  /**
   * Publish only when no such tag exists; one that names another manifest is a `CONFLICT`. One that
   * names this very manifest may be one, or a success that changes nothing.
   */
  readonly createOnly?: boolean | undefined
  /**
   * Publish only while the tag's object still has this etag; another one is a `CONFLICT`. A store
   * that cannot compare publishes all the same.
   */
  readonly replaces?: string | undefined
  /** For the record of a target that keeps one: the image's size in bytes. */
  readonly imageSize?: number | undefined
  /** For the record: the tag was overwritten although it is immutable. */
  readonly forced?: boolean | undefined
  /** For the record: the tag gets back what it was. */
  readonly restores?: boolean | undefined
  /** Every manifest below the root, for a target that keeps them; it reads its own where they are left out. */
  readonly children?: readonly ManifestDocument[] | undefined
}

export interface BeginOptions extends ProgressOptions {
  /** What is done, for others who have to wait for it: `push or copy of app:v1`. */
  readonly purpose?: string | undefined
  /** How long collectors are waited for (milliseconds, default without end); then `UNAVAILABLE`. */
  readonly maxWaitMs?: number | undefined
}

/** What a referrer is attached to: a manifest as one repository has it. */
export interface AttachPlace {
  readonly repository: string
  readonly subject: Descriptor
}

export interface AttachOptions extends CallOptions {
  /** Of an index: all that is below it, children before parents. */
  readonly parts?: readonly Descriptor[] | undefined
}

/** A layer that is taken from another store in chunks. */
export interface MountedChunks {
  /** Of the layer. */
  readonly chunks: number
  /** What the target did not have. */
  readonly sent: { readonly chunks: number; readonly bytes: number }
}

/**
 * One image on its way into a target: blobs in any order, what refers to it, and the tag last. What
 * it keeps from a collector is its own, so that several at once do not share a fate.
 */
export interface Publication {
  /**
   * Receives digests before any of them is looked for or stored, so that the target can keep a
   * collector away from them until `tag` has been answered or `release` is called.
   */
  protect?(digests: readonly string[], options?: CallOptions): Promise<void>
  /** True when the content is there, whole as far as its size tells. */
  has(descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  /** Stores the content, verified; idempotent; may call `open` again to retry. */
  put(descriptor: Descriptor, open: () => Promise<Readable>, options?: CallOptions): Promise<void>
  /** Stores content whose digest is not known yet. `size` is bytes. */
  ingest?(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor>
  /**
   * Of a target that stores uncompressed layers compressed: how those of the image get there that is to
   * be published under the reference. To be called once, before anything is put.
   */
  compressLayers?(reference: Reference): LayerCompressor
  /**
   * Takes the blob from `source` as it is stored there: without moving bytes through this process, or only
   * the chunks that the target lacks. `false` means: put it.
   */
  mount?(
    descriptor: Descriptor,
    source: ImageSource,
    options?: CallOptions,
  ): Promise<boolean | MountedChunks>
  /**
   * What {@link mount} would take in chunks, without writing anything: `undefined` where it would take the
   * blob otherwise, or not.
   */
  planMount?(
    descriptor: Descriptor,
    source: ImageSource,
    options?: CallOptions,
  ): Promise<MountedChunks | undefined>
  /**
   * True when the source is this very place: what its tag names need not be looked for. The digests
   * are protected from then on.
   */
  adopt?(
    root: ManifestDocument,
    from: { readonly source: ImageSource; readonly reference: Reference },
    digests: readonly string[],
    options?: CallOptions,
  ): Promise<boolean>
  /**
   * Stores a manifest that refers to the subject, and what it names, read by `open`. Throws
   * `INTEGRITY` for one that refers to something else.
   */
  attach?(
    referrer: ManifestDocument,
    place: AttachPlace,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: AttachOptions,
  ): Promise<void>
  /**
   * Publishes the root manifest under the reference: atomic, and the last write. What was protected is
   * given up once it is answered; what has been lost may be put again.
   */
  tag(root: ManifestDocument, reference: Reference, options?: TagOptions): Promise<void>
  /**
   * After `tag`: content that another program has deleted since it was found or stored here. It is to
   * be put again, and then asked for again.
   */
  lost?(options?: CallOptions): Promise<readonly Descriptor[]>
  /** Gives up what is protected. To be called in the end, also after `tag` and after failures. */
  release?(): Promise<void>
}

/** A place to put images into, one publication each. One that can be read is an `ImageSource` as well. */
export interface ImageTarget {
  readonly kind: 'random-access'
  readonly name: string
  /** True where an index may be attached, which brings what it lists; elsewhere it stays behind. */
  readonly takesIndexReferrers?: boolean | undefined
  /** Begins a publication. What it has to say is reported as notices. */
  begin(options?: BeginOptions): Publication
  close?(): Promise<void>
}

/** A target that takes a whole image in one stream, in its own order: an engine's load, an archive file. */
export interface StreamingTarget {
  readonly kind: 'streaming'
  readonly name: string
  /** True when it can take an index with several platforms; otherwise one platform is chosen first. */
  acceptsIndex(options?: CallOptions): Promise<boolean>
  /** Reads what it needs from `source`; when it throws, nothing is published under the reference. */
  receive(
    root: ManifestDocument,
    source: ContentSource,
    reference: Reference,
    options?: CallOptions,
  ): Promise<void>
  close?(): Promise<void>
}
