import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { SourceEnd } from '../graph/transfer-request.ts'
import type { Reference } from '../oci/reference.ts'

/** What every operation that moves content accepts. */
export interface OperationOptions extends CallOptions, ProgressOptions {
  /** Blobs in flight at once (default: 6 large and 26 small ones). */
  readonly concurrency?: number | undefined
}

/** What every operation that publishes a tag accepts. */
export interface PublishOptions {
  /**
   * Called with the root once everything below it is in the target: what it throws keeps the tag from
   * being written. A dry run does not ask it.
   */
  readonly beforePublish?:
    | ((root: ManifestDocument, reference: Reference) => Promise<void>)
    | undefined
}

/** What every operation that reads an image from elsewhere accepts. */
export interface VerifyOptions {
  /**
   * Called with the manifest that the source's reference names, before anything of it is moved: what
   * it throws keeps the image from being moved. Exactly that manifest is moved, also when the
   * tag was moved meanwhile.
   */
  readonly verifySource?: ((root: ManifestDocument, from: SourceEnd) => Promise<void>) | undefined
}

/** What every operation that overwrites or removes a tag accepts. */
export interface ForceOptions {
  /** Overwrite or remove although the bucket's configuration says that the image is immutable. */
  readonly force?: boolean | undefined
}
