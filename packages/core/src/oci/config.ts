import { isDigest, parseDigest } from './digest.ts'
import { asArray, asObject, asString, optional, parseStrictJson, refuseLookalikes } from './json.ts'
import type { Platform } from './platform.ts'

/** The largest image config that is parsed (bytes). Copying one of any size is fine. */
export const MAX_CONFIG_BYTES = 32 * 1024 * 1024

const CONFIG_MEMBERS = new Set(
  'architecture os os.version os.features variant rootfs config'.split(' '),
)
const ROOTFS_MEMBERS = new Set(['type', 'diff_ids'])

/** What s3lo reads of an image config (OCI image spec v1.1.1, "config"). */
export interface ImageConfig {
  readonly platform: Platform
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly string[]
}

/** Parses an image config. Throws `INTEGRITY`. */
export function parseImageConfig(content: Uint8Array, name: string): ImageConfig {
  const path = `image config ${name}`
  const config = asObject(parseStrictJson(content, path), path)
  refuseLookalikes(config, CONFIG_MEMBERS, path)
  const variant = optional(config, 'variant', path, asString)
  const version = optional(config, 'os.version', path, asString)
  const rootfs = optional(config, 'rootfs', path, asObject) ?? {}
  refuseLookalikes(rootfs, ROOTFS_MEMBERS, `${path}.rootfs`)
  const listed = optional(rootfs, 'diff_ids', `${path}.rootfs`, asArray) ?? []
  const diffIds = listed.map((entry, i) => {
    const digest = asString(entry, `${path}.rootfs.diff_ids[${i}]`)
    if (!isDigest(digest)) parseDigest(digest)
    return digest
  })
  return {
    platform: {
      os: optional(config, 'os', path, asString) ?? '',
      architecture: optional(config, 'architecture', path, asString) ?? '',
      ...(variant ? { variant } : {}),
      ...(version ? { 'os.version': version } : {}),
    },
    diffIds,
  }
}
