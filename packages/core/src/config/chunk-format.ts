import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { BucketConfig } from './bucket-config.ts'
import { editConfig } from './edit-config.ts'

/** The format of the chunks that s3lo writes. */
const CHUNK_FORMAT = 2

/** True where chunks may be written: the bucket is stamped with their format, or with none. */
export function takesChunks({ chunkFormat = CHUNK_FORMAT }: BucketConfig): boolean {
  return chunkFormat === CHUNK_FORMAT
}

/**
 * Stamps a bucket with the format of the chunks that are about to be written, in its `s3lo.yaml`. False
 * for one that has another stamp, which stays: no chunk may be written there. Throws `CONFLICT` where
 * another writer stamps it at this moment with another format.
 */
export async function stampChunkFormat(
  backend: StorageBackend,
  { signal }: CallOptions = {},
): Promise<boolean> {
  const stopAtOther = (config: BucketConfig): void => {
    if (!takesChunks(config)) throw OTHER_STAMP
  }
  try {
    const edit = { path: ['chunk_format'], value: CHUNK_FORMAT } as const
    await editConfig(backend, [edit], { expect: stopAtOther, signal })
    return true
  } catch (error) {
    if (error === OTHER_STAMP) return false
    throw error
  }
}

const OTHER_STAMP = new Error('the bucket is stamped with another chunk format')
