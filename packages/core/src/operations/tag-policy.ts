import type { CallOptions } from '../contract/call-options.ts'
import { isImmutable } from '../config/effective-config.ts'
import { S3loError } from '../errors.ts'
import { manifestKey } from '../layout/keys.ts'
import type { Reference } from '../oci/reference.ts'
import { type ImageStore, tagExists } from '../store/image-store.ts'
import type { ForceOptions } from './options.ts'

/** How a tag may be written. */
export interface TagPolicy {
  readonly createOnly: boolean
  /** An immutable tag is being overwritten on purpose. */
  readonly forced: boolean
}

/**
 * What the bucket's configuration allows for a tag, asked before anything is transferred. Throws
 * `CONFLICT` when the tag is immutable and exists; the write itself is create-only as well, for the
 * writer that comes in between.
 */
export async function tagPolicy(
  store: ImageStore,
  to: Reference,
  { force = false, signal }: ForceOptions & CallOptions,
): Promise<TagPolicy> {
  if (!isImmutable(await store.config({ signal }), to.name)) {
    return { createOnly: false, forced: false }
  }
  const exists = (await store.backend.head(manifestKey(to), { signal })) !== undefined
  if (exists && !force) throw tagExists(to, store.name)
  return { createOnly: !force, forced: exists }
}

/** Throws `USAGE` for a digest: content decides its digest, so nothing can be written to one. */
export function assertTagged(to: Reference, verb: string): void {
  if (to.digest === undefined) return
  throw new S3loError('USAGE', `cannot ${verb} ${to.name}@${to.digest}: a digest is not a tag`, {
    hint: `name a tag, for example ${to.name}:latest`,
  })
}
