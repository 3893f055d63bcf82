import type { BlobFault } from './blob-uses.ts'

/** Content of an image that is not there or not what it should be. */
export interface BlobProblem {
  readonly digest: string
  /** Bytes, as the manifest says. */
  readonly size: number
  readonly role: 'config' | 'layer' | 'blob' | 'manifest'
  readonly problem: BlobFault
  /** `os/arch[/variant]`, or `(attestation)`; absent for a single image. */
  readonly platform?: string
}

/** What is wrong with one tag; field names are those of `--output json`. */
export interface ManifestIssue {
  /** `image:tag` */
  readonly image: string
  readonly message: string
  readonly hint: string
  readonly blobs?: readonly BlobProblem[]
}
