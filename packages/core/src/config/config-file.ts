import type { CallOptions } from '../contract/call-options.ts'
import { readBoundedFile } from '../stream/bounded-file.ts'
import { type BucketConfig, MAX_BUCKET_CONFIG_BYTES, parseBucketConfig } from './bucket-config.ts'

/**
 * Reads rules from a file of this machine, in the format of `s3lo.yaml`. Throws `NOT_FOUND`,
 * `INTEGRITY` naming the line and the key that is wrong, `IO` for what cannot be read.
 */
export async function loadConfigFile(path: string, options?: CallOptions): Promise<BucketConfig> {
  return parseBucketConfig(await readBoundedFile(path, MAX_BUCKET_CONFIG_BYTES, options), path)
}
