import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { BucketConfig } from './bucket-config.ts'
import { editConfig } from './edit-config.ts'

/** The format of the chunks that s3lo writes. */
const CHUNK_FORMAT = 2

/** True for a bucket that is stamped with the format of chunks, or with none. */
export function takesChunks({ chunkFormat = CHUNK_FORMAT }: BucketConfig): boolean {
  return chunkFormat === CHUNK_FORMAT
}

/**
 * Stamps a bucket with the format of chunks that s3lo writes. False for one that has another stamp by now,
 * and keeps it. Throws `CONFLICT` where another writer stamps it at this moment with another format.
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
