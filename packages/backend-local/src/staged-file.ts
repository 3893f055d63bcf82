import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ignoring, translating } from './errors.ts'
import { STAGING } from './key-path.ts'
import { newOwnedName } from '@s3lo/core/process'
import { linkObject } from './link-object.ts'
import { READ_FLAGS, type StoreRoot } from './store-root.ts'

/** A file in the staging place: on the same file system as the objects, and never listed. */
export class StagedFile {
  readonly path: string
  readonly handle: FileHandle

  constructor(path: string, handle: FileHandle) {
    this.path = path
    this.handle = handle
  }

  /** A new, empty file of our own. */
  static async create(root: StoreRoot, name: string): Promise<StagedFile> {
    return translating(name, async () => {
      const path = await newPath(root)
      return new StagedFile(path, await open(path, 'wx', 0o644))
    })
  }

  /** A copy that shares the blocks of `source`, or `undefined` where the file system cannot. */
  static async clone(
    root: StoreRoot,
    source: string,
    name: string,
  ): Promise<StagedFile | undefined> {
    return translating(name, async () => {
      const path = await newPath(root)
      try {
        await copyFile(source, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
      } catch (error) {
        if (CANNOT_CLONE.has(errnoOf(error) ?? '')) return undefined
        throw error
      }
      const staged = new StagedFile(path, await open(path, 'r'))
      await staged.handle.datasync()
      return staged
    })
  }

  /**
   * Another name of the file `source`, or `undefined` where the file system has no such thing, nothing is
   * there, or only its owner may date it.
   */
  static async link(
    root: StoreRoot,
    source: string,
    name: string,
  ): Promise<StagedFile | undefined> {
    return translating(name, async () => {
      const path = await newPath(root)
      if (!(await linkObject(source, path))) return undefined
      const staged = new StagedFile(path, await open(path, READ_FLAGS))
      const user = process.geteuid?.() ?? 0
      if (user === 0 || (await staged.handle.stat()).uid === user) return staged
      await staged.discard()
      return undefined
    })
  }

  /** When the file was made, by the file system's clock: to be asked before anything is written. */
  async created(): Promise<Date> {
    return (await this.handle.stat()).mtime
  }

  /** Closes the file, and removes it unless it was renamed away. */
  async discard(): Promise<void> {
    await this.handle.close()
    await unlink(this.path).catch(ignoring('ENOENT'))
  }
}

const CANNOT_CLONE: ReadonlySet<string> = new Set([
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'ENOTTY',
  'EXDEV',
  'EINVAL',
])

/** Where nothing is yet, in a staging place that is there. */
async function newPath(root: StoreRoot): Promise<string> {
  await root.ensureFolder(STAGING)
  return join(root.path, STAGING, await newOwnedName())
}
