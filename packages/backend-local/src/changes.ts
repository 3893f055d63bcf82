import type { BigIntStats } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { writeBody, type WriteBodyOptions } from '@s3lo/core/files'
import {
  type CopyOptions,
  type DeleteFailure,
  forEachConcurrent,
  type ObjectInfo,
  type PutOptions,
  S3loError,
  toS3loError,
} from '@s3lo/core/plugin'
import { ignoring, toLocalError, translating, translatingNow } from './errors.ts'
import { fileBody } from './file-body.ts'
import { stampNow } from './file-time.ts'
import { toObjectInfo } from './object-info.ts'
import { missing, openObject } from './open-object.ts'
import {
  assertAllowed,
  assertInTime,
  type ChangeOptions,
  publish,
  syncDirectory,
  underLocks,
} from './publish.ts'
import { StagedFile } from './staged-file.ts'
import { READ_FLAGS, type StoreRoot } from './store-root.ts'

export { sweepStaleFiles } from './stale-files.ts'

const DELETES_AT_ONCE = 8

/** Writes an object whole, or leaves everything as it was. Destroys a body that it did not read. */
export async function putObject(
  root: StoreRoot,
  key: string,
  body: Uint8Array | Readable,
  change: ChangeOptions & PutOptions,
): Promise<ObjectInfo> {
  const name = root.name(key)
  try {
    change.signal?.throwIfAborted()
    // What is certain to be refused is refused before a byte is read.
    await translating(name, () => assertAllowed(root, key, change))
    const staged = await StagedFile.create(root, name)
    try {
      if (change.notAfter !== undefined) {
        await translating(name, async () => assertInTime(root, key, await staged.created(), change))
      }
      await fillStaged(staged, name, body, change)
      return await translating(name, () => publish(root, staged, key, change))
    } finally {
      await staged.discard()
    }
  } finally {
    if (!(body instanceof Uint8Array)) body.destroy()
  }
}

/** Writes the content of an object, which `name` is, to a file that is empty. */
async function fillStaged(
  { handle }: StagedFile,
  name: string,
  body: Uint8Array | Readable,
  { size, signal }: Pick<WriteBodyOptions, 'size' | 'signal'>,
): Promise<void> {
  const toError = (error: unknown): unknown => toLocalError(error, name)
  await writeBody(handle, body, { name, size, signal, toError })
}

/** Deletes objects and the folders that are left empty. */
export async function deleteObjects(
  root: StoreRoot,
  keys: readonly string[],
  change: ChangeOptions,
): Promise<readonly DeleteFailure[]> {
  const { signal } = change
  signal?.throwIfAborted()
  const failures = new Map<string, S3loError>()
  const folders = new Set<string>()
  // Deletes with a deadline take turns anyway.
  const limit = change.notAfter === undefined ? DELETES_AT_ONCE : 1
  const remove = async (key: string): Promise<void> => {
    try {
      const folder = await removeObject(root, key, change)
      if (folder !== undefined) folders.add(folder)
    } catch (error) {
      signal?.throwIfAborted()
      const local = toLocalError(error, root.name(key))
      failures.set(key, toS3loError(local, 'IO', `cannot delete ${root.name(key)}`))
    }
  }
  await forEachConcurrent(new Set(keys), limit, remove, signal)
  await translating(root.name(''), async () => {
    for (const folder of folders) await syncDirectory(await root.prune(folder))
  })
  return [...failures].map(([key, error]) => ({ key, error }))
}

/** Copies an object inside the root; its blocks are shared where the file system can. */
export async function copyObject(
  root: StoreRoot,
  sourceKey: string,
  key: string,
  { sourceEtag, ...change }: ChangeOptions & Pick<CopyOptions, 'sourceEtag'>,
): Promise<ObjectInfo> {
  const { signal } = change
  const name = root.name(key)
  const { fd, stats } = openObject(root, sourceKey)
  const size = Number(stats.size)
  const assertUnchanged = versionCheck(root, sourceKey, sourceEtag)
  const body = fileBody(fd, { start: 0, end: size, name, signal })
  try {
    assertUnchanged(stats)
    const there = translatingNow(name, () => root.stat(key))
    // Onto itself, in another spelling perhaps: there is nothing to do, and nothing to lose.
    if (there?.ino === stats.ino && there.dev === stats.dev) return toObjectInfo(key, there)
    const cloned = await StagedFile.clone(root, root.locate(sourceKey), name)
    const staged = cloned ?? (await StagedFile.create(root, name))
    try {
      // What shares blocks was opened once more, by its name.
      if (cloned) assertUnchanged(root.stat(sourceKey))
      // Where blocks cannot be shared the bytes are written again, which a signal can stop.
      if (cloned === undefined) await fillStaged(staged, name, body, { signal, size })
      return await translating(name, () => publish(root, staged, key, change))
    } finally {
      await staged.discard()
    }
  } finally {
    body.destroy()
  }
}

/**
 * Gives an object another key. Its file gets a name in the staging place first, so that it is one
 * version that is looked at, dated and renamed, also where the source is written meanwhile. `undefined`
 * where it can have no second name.
 */
export async function moveObject(
  root: StoreRoot,
  sourceKey: string,
  key: string,
  { sourceEtag, ...change }: ChangeOptions & Pick<CopyOptions, 'sourceEtag'>,
): Promise<ObjectInfo | undefined> {
  const name = root.name(key)
  const assertUnchanged = versionCheck(root, sourceKey, sourceEtag)
  const stats = translatingNow(root.name(sourceKey), () => root.stat(sourceKey))
  if (stats === undefined) throw missing(root, sourceKey)
  assertUnchanged(stats)
  await translating(name, () => assertAllowed(root, key, change))
  // Onto itself, in another spelling perhaps: there is nothing to do, and everything to lose.
  if (root.realPath(key) === root.realPath(sourceKey)) return toObjectInfo(key, stats)
  const staged = await StagedFile.link(root, root.locate(sourceKey), name)
  if (staged === undefined) return undefined
  try {
    const moved = await staged.handle.stat({ bigint: true })
    assertUnchanged(moved)
    const info = await translating(name, () => publish(root, staged, key, change))
    await translating(root.name(sourceKey), async () => {
      const folder = await removeObject(root, sourceKey, {}, moved.ino)
      if (folder !== undefined) await syncDirectory(await root.prune(folder))
    })
    return info
  } finally {
    await staged.discard()
  }
}

/** Throws `CONFLICT` for another version than the one with the etag; without one, never. */
function versionCheck(
  root: StoreRoot,
  key: string,
  etag: string | undefined,
): (now: BigIntStats | undefined) => void {
  return (now) => {
    if (etag === undefined || (now && toObjectInfo(key, now).etag === etag)) return
    throw new S3loError('CONFLICT', `${root.name(key)} has changed`)
  }
}

/** Makes an object's time now. Throws `NOT_FOUND`. */
export async function touchObject(
  root: StoreRoot,
  key: string,
  change: ChangeOptions,
): Promise<ObjectInfo> {
  const name = root.name(key)
  change.signal?.throwIfAborted()
  // Before the lock, whose making would create a store that is not there.
  if (translatingNow(name, () => root.stat(key)) === undefined) throw missing(root, key)
  return translating(name, () =>
    underLocks(root, key, change, async () => {
      const handle = await open(root.realPath(key) ?? root.locate(key), READ_FLAGS)
      try {
        await stampNow(handle)
        return toObjectInfo(key, await handle.stat({ bigint: true }))
      } finally {
        await handle.close()
      }
    }),
  )
}

/**
 * Removes one object; gives the folder it was in, or `undefined` when there was none. With `inode`, only
 * the object with that file.
 */
async function removeObject(
  root: StoreRoot,
  key: string,
  change: ChangeOptions,
  inode?: bigint,
): Promise<string | undefined> {
  if (root.stat(key) === undefined) return undefined
  const path = root.locate(key)
  await underLocks(root, key, change, async (lock) => {
    change.signal?.throwIfAborted()
    if (change.notAfter !== undefined) assertInTime(root, key, await lock.now(), change)
    const stats = root.stat(key)
    if (stats === undefined || (inode !== undefined && stats.ino !== inode)) return
    await unlink(path).catch(ignoring('ENOENT'))
  })
  return dirname(path)
}
