import type { ManifestDocument } from '../oci/document.ts'
import type { Reference } from '../oci/reference.ts'
import type { CallOptions } from './call-options.ts'
import type { ImageSource } from './image-source.ts'
import type { PolicyRule } from './policy-rule.ts'
import type { ProgressOptions } from './progress.ts'
import type { StoreLocation } from './storage-backend.ts'
import type { StoreSource } from './store-facts.ts'

/** An image that is asked about: published, or whole in the store and about to be. */
export interface PolicySubject {
  /** As the user writes it: `s3://bucket/app:v1`. */
  readonly name: string
  readonly reference: Reference & StoreLocation
  /** The manifest or index that the tag names, or is about to. */
  readonly root: ManifestDocument
  /** The open store: reads everything below the root, and has the bucket. */
  readonly source: StoreSource
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
export interface SourceSubject extends Pick<PolicySubject, 'name' | 'root'> {
  readonly reference: Reference
  readonly source: ImageSource
}

/** What a policy check contribution's `load()` gives. */
export interface PolicyCheckModule {
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
