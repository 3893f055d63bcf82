import type { Descriptor } from '../oci/descriptor.ts'

/** What an operation reports while it runs. Facts only: how they look is the caller's choice. */
export type ProgressEvent =
  /** How much there is to do, as far as it is known; a later plan replaces an earlier one. */
  | { readonly type: 'plan'; readonly blobs: number; readonly bytes: number }
  /** A blob began, ended, was there already, or was mounted. `platform` is `os/arch[/variant]` or `single`. */
  | {
      readonly type: 'blob'
      readonly phase: 'start' | 'done' | 'skip' | 'mount'
      readonly descriptor: Descriptor
      readonly platform: string
    }
  /** Bytes of a blob moved since the last such event. */
  | { readonly type: 'bytes'; readonly descriptor: Descriptor; readonly delta: number }
  /** Something worth a line that is no error. */
  | { readonly type: 'notice'; readonly code: string; readonly message: string }

export interface ProgressOptions {
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined
}
