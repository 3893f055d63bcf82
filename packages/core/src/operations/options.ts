import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'

/** What every operation that moves content accepts. */
export interface OperationOptions extends CallOptions, ProgressOptions {
  /** Blobs in flight at once (default 10). */
  readonly concurrency?: number | undefined
}

/** What every operation that overwrites or removes a tag accepts. */
export interface ForceOptions {
  /** Overwrite or remove although the bucket's configuration says that the image is immutable. */
  readonly force?: boolean | undefined
}
