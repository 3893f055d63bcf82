import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { readAll } from '../stream/read-all.ts'

/** A small object's bytes, or `undefined` when there is none. Throws `INTEGRITY` past `limit` bytes. */
export async function readObject(
  backend: StorageBackend,
  key: string,
  limit: number,
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  return (await readVersion(backend, key, limit, options))?.content
}

/** An object's bytes and the facts of the very version that they are. */
export interface ObjectVersion {
  readonly info: ObjectInfo
  readonly content: Uint8Array
}

/** Reads of an object that is overwritten all the time. */
const MAX_READS = 5

/** As {@link readObject}, with the facts. One that is overwritten while it is read is read again. */
export async function readVersion(
  backend: StorageBackend,
  key: string,
  limit: number,
  options?: CallOptions,
): Promise<ObjectVersion | undefined> {
  for (let reads = 1; ; reads++) {
    try {
      const { info, body } = await backend.get(key, options)
      if (info.size > limit) {
        body.destroy()
        throw new S3loError('INTEGRITY', `${key} has ${info.size} bytes, more than ${limit}`)
      }
      return { info, content: await readAll(body, limit, key) }
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return undefined
      if (!isS3loError(error, 'CONFLICT') || reads === MAX_READS) throw error
    }
  }
}
