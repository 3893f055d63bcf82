import { link, lstat, open, rename, rmdir, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type ObjectInfo, type PutOptions, S3loError } from '@s3lo/core/plugin'
import { errnoOf, ignoring } from './errors.ts'
import { type HeldLock, withLock } from './lock.ts'
import { stampNow } from './file-time.ts'
import { toObjectInfo } from './object-info.ts'
import type { StagedFile } from './staged-file.ts'
import { ATTEMPTS, type StoreRoot } from './store-root.ts'

/** What has to hold at the moment of a change. */
export type ChangeOptions = Pick<PutOptions, 'condition' | 'notAfter' | 'signal'>

/**
 * Gives a staged file its key, or throws and leaves everything as it was: `CONFLICT` when the
 * condition does not hold, `FORBIDDEN` when the deadline has passed.
 *
 * Every change of a key by s3lo, with a condition or without, is made under that key's lock. So
 * nothing comes between the look at the etag and the rename, and no unconditional put is lost
 * either. Only the Go program knows no locks; against it the create-only write is still exact,
 * since the kernel makes the link only where there is no file.
 */
export async function publish(
  root: StoreRoot,
  staged: StagedFile,
  key: string,
  options: ChangeOptions,
): Promise<ObjectInfo> {
  const path = root.locate(key)
  const changed = new Set<string>([dirname(path)])
  await underLocks(root, key, options, async () => {
    await assertAllowed(root, key, options)
    assertInTime(root, key, await stampNow(staged.handle), options)
    for (let attempt = 1; ; attempt += 1) {
      for (const directory of await root.ensureFolder(folderOf(key))) changed.add(directory)
      options.signal?.throwIfAborted()
      try {
        await place(staged, path, options)
        return
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error
        // Either the folder went, and is made again, or the staged file did, and this throws.
        await lstat(staged.path)
      }
    }
  })
  // Read from the open file: it is this version even if the key was written since.
  const info = toObjectInfo(key, await staged.handle.stat({ bigint: true }))
  for (const directory of changed) await syncDirectory(directory)
  return info
}

/**
 * Runs a change of `key` while no other process changes it. Two keys that lead to one file by a link
 * inside the store are locked apart.
 */
export async function underLocks<T>(
  root: StoreRoot,
  key: string,
  { notAfter, signal }: ChangeOptions,
  change: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  const locked = (): Promise<T> => withLock(root, `object ${key}`, signal, change)
  if (notAfter === undefined) return locked()
  // Changes with a deadline exclude each other in the whole store. A process that is stopped
  // between its look at the clock and its change holds the lock, so a reader that relies on the deadline
  // of that change and makes one of its own (a collector, a publisher) waits, and cannot be wrong.
  return withLock(root, 'deadlines', signal, locked)
}

/** Throws `FORBIDDEN` when `now`, by the file system's clock, is after the deadline. */
export function assertInTime(
  root: StoreRoot,
  key: string,
  now: Date,
  { notAfter }: ChangeOptions,
): void {
  if (notAfter === undefined || now <= notAfter) return
  throw new S3loError('FORBIDDEN', `the deadline for ${root.name(key)} has passed`)
}

/** Throws what a put would throw now, for the condition. */
export async function assertAllowed(
  root: StoreRoot,
  key: string,
  options: ChangeOptions,
): Promise<void> {
  options.signal?.throwIfAborted()
  const { condition } = options
  const stats = root.stat(key)
  if (condition === undefined) return
  if (condition.kind === 'absent') {
    if (stats !== undefined) throw new S3loError('CONFLICT', `${root.name(key)} exists already`)
  } else if (stats === undefined || toObjectInfo(key, stats).etag !== condition.etag) {
    throw new S3loError('CONFLICT', `${root.name(key)} has changed`)
  }
}

/** Flushes a directory, so that names made or removed in it survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(ignoring('ENOENT'))
  try {
    // Some network file systems have no such call; their servers decide.
    await handle?.sync().catch(ignoring('EINVAL', 'ENOTSUP', 'EOPNOTSUPP'))
  } finally {
    await handle?.close()
  }
}

async function place(staged: StagedFile, path: string, options: ChangeOptions): Promise<void> {
  await removeEmptyFolder(path)
  if (options.condition?.kind !== 'absent') {
    await rename(staged.path, path)
    return
  }
  try {
    await link(staged.path, path)
  } catch (error) {
    const errno = errnoOf(error) ?? ''
    if (errno === 'EEXIST') {
      throw new S3loError('CONFLICT', `${path} exists already`, { cause: error })
    }
    if (!CANNOT_LINK.has(errno)) throw error
    // Without links the lock has to do: no other s3lo can have made the key since the look.
    await rename(staged.path, path)
    return
  }
  await unlink(staged.path)
}

const CANNOT_LINK: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
])

/** The Go program leaves empty directories behind, which are nothing to a store of objects. */
async function removeEmptyFolder(path: string): Promise<void> {
  const stats = await lstat(path).catch(ignoring('ENOENT'))
  if (stats?.isDirectory()) await rmdir(path)
}

function folderOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('/')))
}
