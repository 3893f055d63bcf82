import { S3loError } from '@s3lo/core/plugin'
import { translatingNow } from './errors.ts'
import type { StoreRoot } from './store-root.ts'

/** An object's file, open for reading. */
export type OpenedObject = NonNullable<ReturnType<StoreRoot['open']>>

/** Opens an object's file. Throws `NOT_FOUND`. */
export function openObject(root: StoreRoot, key: string): OpenedObject {
  const opened = translatingNow(root.name(key), () => root.open(key))
  if (opened === undefined) throw missing(root, key)
  return opened
}

/** The error for an object that is not there. */
export function missing(root: StoreRoot, key: string): S3loError {
  return new S3loError('NOT_FOUND', `${root.name(key)} does not exist`)
}
