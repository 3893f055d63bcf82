import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { BucketConfig } from '../config/bucket-config.ts'
import { isImmutable } from '../config/effective-config.ts'
import { lostSettings } from '../config/settings-seen.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { formatStore } from '../layout/format-store.ts'
import { portabilityProblem } from '../layout/portable-name.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { StoreFacts } from '../contract/store-facts.ts'
import { presentDigest, tagExists } from '../store/tag-write.ts'
import type { ForceOptions } from './options.ts'

export interface TagPolicyOptions extends ForceOptions, CallOptions, ProgressOptions {
  /** Nothing is written. */
  readonly dryRun?: boolean | undefined
}

/** How a tag may be written. */
export interface TagPolicy {
  readonly options: {
    readonly createOnly: boolean
    /** An immutable tag is being overwritten on purpose. */
    readonly forced: boolean
  }
  /**
   * To be asked before anything is transferred: throws `CONFLICT` where an immutable tag names
   * something else than `root`. A stream that does not know what it will give passes `undefined`.
   */
  readonly admit: (root: Descriptor | undefined) => void
}

/**
 * What the bucket's configuration allows for a tag. Throws `INVALID_REFERENCE` for a new tag that no
 * engine or registry would take. The write of an immutable tag is create-only as
 * well, for the writer that comes in between.
 */
export async function tagPolicy(
  store: StoreFacts,
  to: Reference,
  { force = false, dryRun = false, signal, onProgress }: TagPolicyOptions,
): Promise<TagPolicy> {
  await assertPortable(store, to, { signal })
  const config = await store.config({ signal })
  await watchSettings(store, config, { dryRun, signal, onProgress })
  if (!isImmutable(config, to.name)) {
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

/** Settings that were looked at: once for a copy of many tags. */
const WATCHED = new WeakSet<BucketConfig>()

/** Says which settings are gone since s3lo last saw them: nothing else tells of a policy that is lost. */
async function watchSettings(
  store: StoreFacts,
  config: BucketConfig,
  { dryRun, signal, onProgress }: TagPolicyOptions,
): Promise<void> {
  if (WATCHED.has(config)) return
  WATCHED.add(config)
  const lost = await lostSettings(store.backend, config, { isReadOnly: dryRun ?? false, signal })
  if (lost.length === 0) return
  const ref = formatStore(store.backend)
  const message =
    `s3lo.yaml of ${store.name} had settings that are gone, perhaps by another program: ${lost.join(', ')}; ` +
    `set them again, or accept that by the next s3lo config set ${ref}`
  onProgress?.({ type: 'notice', code: 'settings-lost', message })
}

/** Names that other programs have written may be written again: nothing is created by that. */
async function assertPortable(
  store: StoreFacts,
  to: Reference,
  options: CallOptions,
): Promise<void> {
  const problem = portabilityProblem(to)
  if (problem === undefined) return
  if ((await presentDigest(store.backend, to, options)) !== undefined) return
  const name = JSON.stringify(formatImageName(to))
  throw new S3loError(
    'INVALID_REFERENCE',
    `${name} is not created, because no engine or registry takes that: ${problem}`,
    {
      hint: 'names are lower-case words with ".", "_", "-" and "/" between them, tags letters, digits, ".", "_" and "-"',
    },
  )
}

/** Throws `USAGE` for a digest: content decides its digest, so nothing can be written to one. */
export function assertTagged(to: Reference, verb: string): void {
  if (to.digest === undefined) return
  throw new S3loError('USAGE', `cannot ${verb} ${to.name}@${to.digest}: a digest is not a tag`, {
    hint: `name a tag, for example ${to.name}:latest`,
  })
}
