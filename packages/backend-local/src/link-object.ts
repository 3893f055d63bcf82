import { link, lstat, rm } from 'node:fs/promises'
import { errnoOf } from './errors.ts'

/** What tells that this file cannot be linked there, and a copy may be made. */
const NOT_HERE = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'ENOSYS', 'ENOENT'])

/** Makes `file` another name of the object at `path`; false where the file system has no such thing. */
export async function linkObject(path: string, file: string): Promise<boolean> {
  try {
    await link(path, file)
  } catch (error) {
    if (NOT_HERE.has(errnoOf(error) ?? '')) return false
    throw error
  }
  // A symbolic link was linked itself: it could lead out of the store.
  if ((await lstat(file)).isFile()) return true
  await rm(file)
  return false
}
