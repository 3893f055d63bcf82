import { S3loError } from '@s3lo/core/plugin'
import { translating } from './errors.ts'
import type { StoreRoot } from './store-root.ts'

/** An object's file, open for reading. */
export type OpenedObject = NonNullable<Awaited<ReturnType<StoreRoot['open']>>>

/** Opens an object's file. Throws `NOT_FOUND`. */
export async function openObject(root: StoreRoot, key: string): Promise<OpenedObject> {
  const opened = await translating(root.name(key), () => root.open(key))
  if (opened === undefined) throw missing(root, key)
  return opened
}

/** The error for an object that is not there. */
export function missing(root: StoreRoot, key: string): S3loError {
  return new S3loError('NOT_FOUND', `${root.name(key)} does not exist`)
}
