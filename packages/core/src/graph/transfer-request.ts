import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource, StreamingSource } from '../contract/image-source.ts'
import type {
  ImageTarget,
  Publication,
  StreamingTarget,
  TagOptions,
} from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { CopyGraphStats } from './copy-graph.ts'
import type { GraphPlan } from './plan.ts'
import type { Selection } from './select.ts'

/** What is asked of a transfer, and what is to be told on the way. */
export interface TransferRequest extends CallOptions, ProgressOptions {
  readonly selection: Selection
  readonly concurrency?: number | undefined
  /** Uncompressed layers are stored compressed, where the target does that: the manifest is another one then. */
  readonly compressLayers?: boolean | undefined
  /**
   * Told what is about to be published before any of it is moved; `undefined` where a stream does
   * not tell beforehand and the target's present image is not it. What throws here prevents it.
   */
  readonly admit?: ((root: Descriptor | undefined) => void) | undefined
  /**
   * Called with the manifest that the source's reference names, before anything of it is moved: what
   * throws here prevents that. Exactly this manifest is transferred, even if the tag moves.
   */
  readonly verify?: ((sourceRoot: ManifestDocument) => Promise<void>) | undefined
  /**
   * Told what was selected of a source that tells beforehand, before any of it is moved: what throws
   * here prevents that.
   */
  readonly selected?: ((selected: SelectedImage) => Promise<void>) | undefined
  /**
   * Runs when everything is in place and before the tag is written: what throws here prevents it. A
   * target that takes a whole image in one stream has no `publication`.
   */
  readonly beforeTag?: ((plan: GraphPlan, publication?: Publication) => Promise<void>) | undefined
  /** How the tag is written, once the plan is known. */
  readonly tagOptions?: ((plan: GraphPlan) => TagOptions) | undefined
}

/** The manifest that the source's reference names, and the one that was selected of it. */
export interface SelectedImage {
  readonly sourceRoot: ManifestDocument
  readonly root: ManifestDocument
}

/** What an image transfer published and moved. */
export interface TransferResult extends CopyGraphStats {
  readonly plan: GraphPlan
  /** The manifest that the source's reference names, before a platform was selected. */
  readonly sourceRoot: ManifestDocument
}

/** A source of either kind, with the name to look up in it. */
export interface SourceEnd {
  readonly source: ImageSource | StreamingSource
  readonly reference: Reference
}

/** A target of either kind, with the name to publish. */
export interface TargetEnd {
  readonly target: ImageTarget | StreamingTarget
  readonly reference: Reference
}
