import type { Descriptor } from '../oci/descriptor.ts'

/**
 * What an operation reports while it runs. Facts only: how they look is the caller's choice.
 *
 * Of each image comes one `plan`, before its first blob; only where the source cannot tell (a pipe,
 * a compressed archive, an old engine) does none come. Each blob is then ended by one `blob` event, of
 * the phase `done`, `skip` or `mount`. The `bytes` of a blob come between its `start` and its end, and
 * add up to at most its size: what is sent again after a failure is reported once.
 *
 * Work on a whole store, and the making and then copying of an image, is done in legs: each has its
 * own plan, and ends before the next begins. Its blobs are what the leg is about: the manifests of
 * all tags, then those that they list, level by level; layers that are hashed or indexed; content
 * that a collector deletes (`done`) or finds to be needed (`skip`). A manifest that cannot be read is
 * a `skip`, and has the digest `''` where nothing else tells it.
 */
export type ProgressEvent =
  /**
   * All there is to do, content that will be skipped included. Bytes. Of an image that an engine
   * saves both are as the engine tells them beforehand, which can be a few percent off. Where sizes are
   * not known, the bytes are 0 and the number of blobs tells how far it is.
   */
  | { readonly type: 'plan'; readonly blobs: number; readonly bytes: number }
  /**
   * A blob began, arrived (`done`), was there already (`skip`), or is shared without a transfer
   * (`mount`). `platform` is `os/arch[/variant]`, or `single`. Until the digest of an engine's layer
   * is known, its descriptor has the digest `''`; one layer at a time is in that state.
   */
  | {
      readonly type: 'blob'
      readonly phase: 'start' | 'done' | 'skip' | 'mount'
      readonly descriptor: Descriptor
      readonly platform: string
    }
  /** Bytes of a blob that moved since the last such event. */
  | { readonly type: 'bytes'; readonly descriptor: Descriptor; readonly delta: number }
  /** Something worth a line that is no error. */
  | { readonly type: 'notice'; readonly code: string; readonly message: string }

export interface ProgressOptions {
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined
}
