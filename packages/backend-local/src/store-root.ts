import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
} from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { makeFolder, S3loError } from '@s3lo/core/plugin'
import { errnoOf, ignoring, unlessMissing } from './errors.ts'
import { componentsOf } from './key-path.ts'

/**
 * Reads never follow a symbolic link unseen, and never hang on a named pipe. Node has no `openat`,
 * so this keeps a store from leading out of its root; it is no defence against a process that swaps
 * directories for links at the same moment, and that can write here anyway.
 */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Deletes may remove an emptied folder between its making and its use, but not for ever. */
export const ATTEMPTS = 64

/** The directory of a store, and the only way from a key to a path. */
export class StoreRoot {
  /** Absolute. */
  readonly path: string
  readonly #name: string
  /** The path with a separator at its end. */
  readonly #folder: string

  constructor(bucket: string) {
    if (bucket === '' || bucket.includes('\0')) {
      throw new S3loError('INVALID_REFERENCE', 'local:// needs the path of a directory')
    }
    this.#name = `local://${bucket}`
    this.path = resolve(bucket)
    this.#folder = this.path.endsWith(sep) ? this.path : this.path + sep
  }

  /** What messages call an object. */
  name(key: string): string {
    return `${this.#name}/${key}`
  }

  /** The path where a key would be. Throws `INVALID_REFERENCE`. */
  locate(key: string): string {
    return this.#folder + componentsOf(key).join(sep)
  }

  /** The path of the object's file without links; `undefined` when nothing is there. */
  realPath(key: string): string | undefined {
    return this.resolveInside(this.locate(key), key)
  }

  /** The file's status, or `undefined` when there is no such object. Throws `FORBIDDEN` outside. */
  stat(key: string): BigIntStats | undefined {
    const stats = this.#lookup(key, (path) => lstatSync(path, { bigint: true }))
    if (!stats?.isSymbolicLink()) return ifFile(stats)
    const target = this.resolveInside(this.locate(key), key)
    return target === undefined
      ? undefined
      : ifFile(unlessMissing(() => lstatSync(target, { bigint: true })))
  }

  /** The file open for reading with its status, or `undefined` when there is no such object. */
  open(key: string): { readonly fd: number; readonly stats: BigIntStats } | undefined {
    const fd = this.#lookup(key, (path) => {
      try {
        return openSync(path, READ_FLAGS)
      } catch (error) {
        if (errnoOf(error) !== 'ELOOP' && errnoOf(error) !== 'EMLINK') throw error
        const target = this.resolveInside(path, key)
        return target === undefined ? undefined : openSync(target, READ_FLAGS)
      }
    })
    if (fd === undefined) return undefined
    let stats: BigIntStats | undefined
    try {
      stats = ifFile(fstatSync(fd, { bigint: true }))
    } finally {
      if (stats === undefined) closeSync(fd)
    }
    return stats && { fd, stats }
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
    if (this.resolveInside(path, folder) !== undefined) return []
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
      else this.resolveInside(current, folder)
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

  /**
   * The real path of the root. Throws `NOT_FOUND`, since what cannot be looked into is not empty,
   * and `INVALID_REFERENCE` when it is a file.
   */
  real(): string {
    const real = realPathOf(this.path)
    const stats = real === undefined ? undefined : unlessMissing(() => lstatSync(real))
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
  resolveInside(path: string, key: string): string | undefined {
    const real = realPathOf(path)
    // A path without links that begins with the root's shows that the root's has none either.
    if (real === path && isInside(this.path, real)) return real
    const root = real === undefined ? undefined : realPathOf(this.path)
    if (root === undefined || real === undefined) return undefined
    if (isInside(root, real)) return real
    throw new S3loError('FORBIDDEN', `${this.name(key)} leads out of the store`, {
      hint: 'a symbolic link in a store must point into the same store',
      contentFault: true,
    })
  }

  #lookup<T>(key: string, look: (path: string) => T): T | undefined {
    const path = this.locate(key)
    if (this.resolveInside(dirname(path), key) !== undefined) return unlessMissing(() => look(path))
    // The folder is missing, which says nothing unless the root is a directory or missing too.
    if (realPathOf(this.path) !== undefined) this.real()
    // A name that is too long is a wrong key, whether its folder exists or not.
    unlessMissing(() => lstatSync(path))
    return undefined
  }

  async #makeRoot(): Promise<string[]> {
    const first = await makeFolder(this.path, { mode: 0o755 }).catch(async (error: unknown) => {
      // A file in its place has a name of its own.
      if (errnoOf(error) === 'EEXIST') this.real()
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

function ifFile(stats: BigIntStats | undefined): BigIntStats | undefined {
  return stats?.isFile() ? stats : undefined
}

/** The path without links; `undefined` where nothing is. */
function realPathOf(path: string): string | undefined {
  return unlessMissing(() => realpathSync.native(path))
}
