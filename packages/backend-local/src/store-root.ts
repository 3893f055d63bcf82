import { constants, type BigIntStats } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, realpath, rmdir } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { S3loError } from '@s3lo/core/plugin'
import { errnoOf, ignoring } from './errors.ts'
import { componentsOf } from './key-path.ts'

/**
 * Reads never follow a symbolic link unseen, and never hang on a named pipe. Node has no `openat`,
 * so this keeps a store from leading out of its root; it is no defence against somebody who swaps
 * directories for links at the same moment, and who can write here anyway.
 */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Deletes may remove an emptied folder between its making and its use, but not for ever. */
export const ATTEMPTS = 64

/** The directory of a store, and the only way from a key to a path. */
export class StoreRoot {
  /** Absolute. */
  readonly path: string
  readonly #name: string

  constructor(bucket: string) {
    if (bucket === '' || bucket.includes('\0')) {
      throw new S3loError('INVALID_REFERENCE', 'local:// needs the path of a directory')
    }
    this.#name = `local://${bucket}`
    this.path = resolve(bucket)
  }

  /** What messages call an object. */
  name(key: string): string {
    return `${this.#name}/${key}`
  }

  /** The path where a key would be. Throws `INVALID_REFERENCE`. */
  locate(key: string): string {
    return join(this.path, ...componentsOf(key))
  }

  /** The file's status, or `undefined` when there is no such object. Throws `FORBIDDEN` outside. */
  async stat(key: string): Promise<BigIntStats | undefined> {
    const stats = await this.#lookup(key, (path) => lstat(path, { bigint: true }))
    if (stats?.isSymbolicLink()) {
      const target = await this.resolveInside(this.locate(key), key)
      if (target === undefined) return undefined
      return ifFile(await missingAsUndefined(lstat(target, { bigint: true })))
    }
    return ifFile(stats)
  }

  /** The file open for reading with its status, or `undefined` when there is no such object. */
  async open(key: string): Promise<{ handle: FileHandle; stats: BigIntStats } | undefined> {
    const handle = await this.#lookup(key, (path) =>
      open(path, READ_FLAGS).catch(async (error: unknown) => {
        if (errnoOf(error) !== 'ELOOP' && errnoOf(error) !== 'EMLINK') throw error
        const target = await this.resolveInside(path, key)
        return target === undefined ? undefined : open(target, READ_FLAGS)
      }),
    )
    if (handle === undefined) return undefined
    try {
      const stats = ifFile(await handle.stat({ bigint: true }))
      if (stats !== undefined) return { handle, stats }
    } catch (error) {
      await handle.close()
      throw error
    }
    await handle.close()
    return undefined
  }

  /** Makes the directory `folder` (no slash at its end), and gives its parents that gained one. */
  async ensureFolder(folder: string): Promise<readonly string[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#makeFolder(folder)
      } catch (error) {
        // A delete removed a parent, empty at that moment, between its making and its use.
        if (errnoOf(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error
      }
    }
  }

  async #makeFolder(folder: string): Promise<readonly string[]> {
    const path = join(this.path, folder)
    if ((await this.resolveInside(path, folder)) !== undefined) return []
    const changed = await this.#makeRoot()
    let current = this.path
    for (const component of folder.split('/').filter(Boolean)) {
      const parent = current
      current = join(parent, component)
      const made = await mkdir(current, 0o755).then(
        () => true,
        (error: unknown) => ignoring('EEXIST')(error) ?? false,
      )
      if (made) changed.push(parent)
      // Before anything is made inside: this may be a link that leads elsewhere.
      else await this.resolveInside(current, folder)
    }
    return changed
  }

  /** Removes `directory` and its parents while they are empty, never the root. Gives the survivor. */
  async prune(directory: string): Promise<string> {
    let current = directory
    while (current !== this.path) {
      const removed = await rmdir(current).then(
        () => true,
        (error: unknown) =>
          ignoring('ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EBUSY')(error) ?? false,
      )
      if (!removed) return current
      current = dirname(current)
    }
    return current
  }

  /** Throws `NOT_FOUND` unless the root is there: what cannot be looked into is not empty. */
  async assertExists(): Promise<void> {
    await this.real()
  }

  /** The real path of the root. Throws `NOT_FOUND`, or `INVALID_REFERENCE` when it is a file. */
  async real(): Promise<string> {
    const real = await missingAsUndefined(realpath(this.path))
    const stats = real === undefined ? undefined : await missingAsUndefined(lstat(real))
    if (real === undefined || stats === undefined) {
      throw new S3loError('NOT_FOUND', `the directory ${this.path} does not exist`, {
        hint: 'check the path; a push makes the directory',
      })
    }
    if (!stats.isDirectory()) {
      throw new S3loError('INVALID_REFERENCE', `${this.path} is not a directory`, {
        hint: 'a store is a directory: name another one',
      })
    }
    return real
  }

  /** The real path, `undefined` when nothing is there, `FORBIDDEN` when it is outside the root. */
  async resolveInside(path: string, key: string): Promise<string | undefined> {
    const [root, real] = await Promise.all([
      missingAsUndefined(realpath(this.path)),
      missingAsUndefined(realpath(path)),
    ])
    if (root === undefined || real === undefined) return undefined
    if (isInside(root, real)) return real
    throw new S3loError('FORBIDDEN', `${this.name(key)} leads out of the store`, {
      hint: 'a symbolic link in a store must point into the same store',
    })
  }

  async #lookup<T>(key: string, look: (path: string) => Promise<T>): Promise<T | undefined> {
    const path = this.locate(key)
    if ((await this.resolveInside(dirname(path), key)) === undefined) {
      // The folder is missing, which says nothing unless the root is a directory or missing too.
      await this.real().catch((error: unknown) => {
        if (!(error instanceof S3loError && error.code === 'NOT_FOUND')) throw error
      })
      await assertShortNames(path)
      return undefined
    }
    return missingAsUndefined(look(path))
  }

  async #makeRoot(): Promise<string[]> {
    const options = { recursive: true, mode: 0o755 } as const
    const first = await mkdir(this.path, options).catch(async (error: unknown) => {
      // A file in its place has a name of its own.
      if (errnoOf(error) === 'EEXIST') await this.real()
      throw error
    })
    if (first === undefined) return []
    const changed: string[] = []
    for (let made = this.path; made.length >= first.length; made = dirname(made)) {
      changed.push(dirname(made))
    }
    return changed
  }
}

/** True when `path` is `root` or below it; both are real paths. */
function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
}

/** A name that is too long is a wrong key, whether its folder exists or not. */
async function assertShortNames(path: string): Promise<void> {
  await missingAsUndefined(lstat(path))
}

function ifFile(stats: BigIntStats | undefined): BigIntStats | undefined {
  return stats?.isFile() ? stats : undefined
}

function missingAsUndefined<T>(look: Promise<T>): Promise<T | undefined> {
  return look.catch(ignoring('ENOENT', 'ENOTDIR'))
}
