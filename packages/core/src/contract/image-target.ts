import type { Readable } from 'node:stream'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { CallOptions } from './call-options.ts'
import type { ContentSource, ImageSource } from './image-source.ts'
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
}

/** What {@link ImageTarget.begin} can be told. */
export interface BeginOptions extends ProgressOptions {
  /** What is done, for others who have to wait for it: `push or copy of app:v1`. */
  readonly purpose?: string | undefined
}

/** What {@link ImageTarget.attach} can be told. */
export interface AttachOptions extends CallOptions {
  readonly parts?: readonly Descriptor[] | undefined
}

/** A place to put images, blob by blob in any order; the tag is written last. */
export interface ImageTarget {
  readonly kind: 'random-access'
  readonly name: string
  /** True when the content is there, whole as far as its size tells. */
  exists(descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  /** Stores the content, verified; idempotent; may call `open` again to retry. */
  push(descriptor: Descriptor, open: () => Promise<Readable>, options?: CallOptions): Promise<void>
  /** Publishes the root manifest under the reference: the last write, and atomic. */
  tag(root: ManifestDocument, reference: Reference, options?: TagOptions): Promise<void>
  /**
   * After `tag`: content that another program has deleted since it was found or stored here. It is to
   * be pushed again, and then asked for again.
   */
  lost?(options?: CallOptions): Promise<readonly Descriptor[]>
  /** Takes the blob from `source` without moving bytes through this process; `false` means: push it. */
  mount?(descriptor: Descriptor, source: ImageSource, options?: CallOptions): Promise<boolean>
  /** Stores content whose digest is not known yet. `size` is bytes. */
  ingest?(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor>
  /**
   * The same target for one image, so that several at once keep what they protect apart. To be
   * closed, which leaves this one open. What it has to say is reported as notices.
   */
  begin?(options?: BeginOptions): ImageTarget
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
   * Receives digests before any of them is looked for or uploaded, so that the target can keep a
   * collector away from them until `tag` has been answered or the target is closed.
   */
  protect?(digests: readonly string[], options?: CallOptions): Promise<void>
  /**
   * Stores a manifest that refers to `subject`, and what it names, read by `open`. Of an index,
   * `parts` are all that is below it, children before parents.
   */
  attach?(
    referrer: ManifestDocument,
    subject: Descriptor,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: AttachOptions,
  ): Promise<void>
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
