import type { CallOptions } from '../contract/call-options.ts'
import { isImmutable } from '../config/effective-config.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Reference } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { presentDigest, tagExists } from '../store/put-tag.ts'
import type { ForceOptions } from './options.ts'

/** How a tag may be written. */
export interface TagPolicy {
  readonly options: {
    readonly createOnly: boolean
    /** An immutable tag is being overwritten on purpose. */
    readonly forced: boolean
  }
  /**
   * To be asked before anything is transferred: throws `CONFLICT` where an immutable tag stands for
   * something else than `root`. A stream that does not know what it will give passes `undefined`.
   */
  readonly admit: (root: Descriptor | undefined) => void
}

/**
 * What the bucket's configuration allows for a tag. The write of an immutable tag is create-only as
 * well, for the writer that comes in between.
 */
export async function tagPolicy(
  store: ImageStore,
  to: Reference,
  { force = false, signal }: ForceOptions & CallOptions,
): Promise<TagPolicy> {
  if (!isImmutable(await store.config({ signal }), to.name)) {
    return { options: { createOnly: false, forced: false }, admit: () => {} }
  }
  const present = await presentDigest(store.backend, to, { signal })
  return {
    options: { createOnly: !force, forced: force && present !== undefined },
    admit: (root) => {
      if (force || present === undefined || present === root?.digest) return
      throw tagExists(to, store.backend)
    },
  }
}

/** Throws `USAGE` for a digest: content decides its digest, so nothing can be written to one. */
export function assertTagged(to: Reference, verb: string): void {
  if (to.digest === undefined) return
  throw new S3loError('USAGE', `cannot ${verb} ${to.name}@${to.digest}: a digest is not a tag`, {
    hint: `name a tag, for example ${to.name}:latest`,
  })
}
