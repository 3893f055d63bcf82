import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  BLOBS_PREFIX,
  BUCKET_CONFIG_KEY,
  type CallOptions,
  MANIFESTS_PREFIX,
  OWN_PREFIX,
  type StoreLocation,
} from '@s3lo/core/plugin'
import { toLocalError, ignoring } from './errors.ts'

/**
 * True for a directory that is laid out as a store: it has settings, manifests, what s3lo keeps for
 * itself, or blobs that are not those of an OCI layout. One that cannot be looked into throws.
 */
export async function isStore(
  { bucket }: StoreLocation,
  { signal }: CallOptions = {},
): Promise<boolean> {
  signal?.throwIfAborted()
  const has = async (name: string): Promise<boolean> => {
    try {
      return (await lstat(join(bucket, name)).catch(ignoring('ENOENT', 'ENOTDIR'))) !== undefined
    } catch (error) {
      throw toLocalError(error, join(bucket, name))
    }
  }
  for (const name of [BUCKET_CONFIG_KEY, MANIFESTS_PREFIX, OWN_PREFIX]) {
    if (await has(name)) return true
  }
  return (await has(BLOBS_PREFIX)) && !(await has('oci-layout'))
}
