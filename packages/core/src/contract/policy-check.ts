import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { CallOptions } from './call-options.ts'
import type { ImageSource } from './image-source.ts'
import type { ProgressOptions } from './progress.ts'
import type { StorageBackend } from './storage-backend.ts'

/** One of the `policies:` that an image is validated against; what each member means depends on `check`. */
export interface PolicyRule {
  /** For reports; the name of the check where none is given. */
  readonly name: string
  readonly check: string
  /** Names and globs of the images that it is about; absent is all. */
  readonly images?: readonly string[]
  readonly maxSeverity?: string
  readonly maxDays?: number
  readonly maxBytes?: number
  readonly keyRef?: string
  /**
   * Every push is held against it: `push` refuses an image that fails, `warn` says so. Absent: only
   * those that ask for it.
   */
  readonly enforce?: 'push' | 'warn'
  /** Every other key with a scalar value, as it is written: parameters of checks from elsewhere. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** An image that is asked about: published, or whole in the store and about to be. */
export interface PolicySubject {
  /** As the user writes it: `s3://bucket/app:v1`. */
  readonly name: string
  readonly reference: Reference
  /** The manifest or index that the tag names, or is about to. */
  readonly root: ManifestDocument
  /** Reads everything below the root. */
  readonly source: ImageSource
  /** The bucket, for what is stored beside the image. */
  readonly backend: StorageBackend
  /** When the tag was last written; `undefined` when the store has no record of it. */
  readonly publishedAt: Date | undefined
}

export interface PolicyCheckOptions extends CallOptions, ProgressOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The moment that ages are counted from. */
  readonly now: Date
  /** What the command line says to one kind of check, such as `installTrivy`. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** What a check found. */
export interface PolicyVerdict {
  readonly passed: boolean
  /** Why, in a few words. */
  readonly message?: string
}

/** An image in a source that is no store: a registry, a layout. */
export type SourceSubject = Pick<PolicySubject, 'name' | 'reference' | 'root' | 'source'>

/** What a policy check contribution's `load()` gives. */
export interface PolicyCheckModule {
  /** The check may run for minutes, as a scanner does: a server does not let its clients wait for it. */
  readonly isSlow?: boolean
  /** Judges an image. A rule that makes no sense is a `USAGE` error; a question without answer throws too. */
  checkPolicy(
    rule: PolicyRule,
    subject: PolicySubject,
    options: PolicyCheckOptions,
  ): Promise<PolicyVerdict>
  /** As `checkPolicy`, for a check that needs no store. */
  checkSource?(
    rule: PolicyRule,
    subject: SourceSubject,
    options: PolicyCheckOptions,
  ): Promise<PolicyVerdict>
}
