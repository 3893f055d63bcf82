import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, WriteCondition } from '../contract/storage-backend.ts'
import type { Descriptor } from '../oci/descriptor.ts'

/** A write that makes protected content visible: a tag, the record of a digest, a referrer. */
export interface TagWrite extends CallOptions {
  readonly key: string
  readonly content: Uint8Array
  readonly mediaType?: string | undefined
  readonly condition?: WriteCondition | undefined
  /** What is about to be named: protected here where it is not yet. */
  readonly digests: readonly string[]
  /**
   * The tag that names all this, where nothing of it is looked for: what a tag names is there. It is
   * read again under the pins, once no round can delete any more.
   */
  readonly origin?: Origin | undefined
  /** What was written before under the same pins, and has to be written anew after a gap between them. */
  readonly prepared?: Prepared | undefined
}

/** Earlier writes that another one counts on: that they are there, and young. */
export interface Prepared {
  /** Of `Protection.gaps` before they were made. */
  readonly gaps: number
  again(): Promise<void>
}

/** A tag of the same store whose content is about to get another name. */
export interface Origin {
  readonly key: string
  /** The manifest that it has. */
  readonly content: Uint8Array
  /** For errors: `image:tag`. */
  readonly name: string
}

/** What became of the pins. Those that stay block no process once they are dead. */
export interface Release {
  /** Keys of pins that were left on purpose; where the store enforces no deadlines they never die. */
  readonly left: readonly string[]
  readonly failures: readonly DeleteFailure[]
}

/** Where content is kept: all but blobs is out of the Go program's reach. */
export type ContentPlace = 'blobs' | 'referrer-blobs' | 'recipes' | RecordPlace | FramePlace

/** Of a chunk, whose name is that of its raw bytes: the frame that is stored, by its digest. */
export type FramePlace = `frame ${string}`

/** The records of a repository. */
export type RecordPlace = `records of ${string}`

/** Looks for content in the store. */
export type Look = (
  descriptor: Descriptor,
  options: CallOptions,
  place: ContentPlace,
) => Promise<boolean>
