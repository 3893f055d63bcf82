import { mkdir, readdir, rename, rm, rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { S3loError } from '@s3lo/core/plugin'
import { errnoOf, ignoring } from './errors.ts'
import { timeByFile } from './file-time.ts'
import { LOCKS, STAGING } from './key-path.ts'
import { newOwnedName, ownerState, parseOwner } from '@s3lo/core/process'
import type { StoreRoot } from './store-root.ts'

/** No process holds a lock for long: it covers a few system calls, never a transfer. */
const PATIENCE_MS = 30_000
const LONGEST_PAUSE_MS = 50
/** Against two machines that share a name and an id: see `ownerState`. */
const REBOOTED_AFTER_MS = 60_000

/** A lock while it is held. */
export interface HeldLock {
  /** The present time by the file system's clock. Throws where the lock was removed by hand. */
  now(): Promise<Date>
}

/**
 * Runs `action` while no other process (or call of this one) holds the lock `name`, which must not
 * depend on how the path is spelled of the store.
 *
 * A lock is a directory with one file in it, whose name tells the owner. It is made whole in the
 * staging place and taken by renaming it to the lock's path, which the kernel refuses while the
 * directory there has an entry. So a lock is never seen without its owner; of several takers one
 * wins; and a dead owner's lock is broken by unlinking *that owner's file*, which can never hit
 * the lock of a later owner: the flaw of lock files that are unlinked by path.
 *
 * Only a lock whose owner is dead for certain is broken. A process that was stopped inside keeps
 * others out until it runs again: they throw `UNAVAILABLE` after half a minute.
 */
export async function withLock<T>(
  root: StoreRoot,
  name: string,
  signal: AbortSignal | undefined,
  action: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  await Promise.all([root.ensureFolder(LOCKS), root.ensureFolder(STAGING)])
  const directory = join(
    root.path,
    LOCKS,
    process.getBuiltinModule('node:crypto').createHash('sha256').update(name).digest('hex'),
  )
  const owner = await take(root, directory, name, signal)
  try {
    return await action({ now: () => timeByFile(join(directory, owner)) })
  } finally {
    await release(directory, owner)
  }
}

async function take(
  root: StoreRoot,
  directory: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const owner = await newOwnedName()
  const prepared = join(root.path, STAGING, owner)
  try {
    await mkdir(prepared)
    await writeFile(join(prepared, owner), '', { flag: 'wx' })
    const giveUpAt = performance.now() + PATIENCE_MS
    for (let pause = 1; !(await renamed(prepared, directory)); pause *= 2) {
      signal?.throwIfAborted()
      if (await breakStale(directory, join(prepared, owner))) continue
      if (performance.now() > giveUpAt) throw await heldError(directory, name)
      await wait(Math.min(pause, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2), signal)
    }
    return owner
  } catch (error) {
    await rm(prepared, { recursive: true, force: true })
    throw error
  }
}

async function renamed(prepared: string, directory: string): Promise<boolean> {
  try {
    await rename(prepared, directory)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST') return false
    // Where a rename never replaces a directory, an empty one has to go first.
    if (errnoOf(error) === 'EPERM' && (await holdersOf(directory)).length > 0) return false
    if (errnoOf(error) === 'EPERM' && (await removeEmpty(directory))) return false
    throw error
  }
}

async function release(directory: string, owner: string): Promise<void> {
  await unlink(join(directory, owner)).catch(ignoring('ENOENT'))
  await removeEmpty(directory)
}

/** Removes the files of dead owners; true when the lock may be free now. `own` is a file of ours. */
async function breakStale(directory: string, own: string): Promise<boolean> {
  const holders = await holdersOf(directory)
  let free = true
  for (const holder of holders) {
    if (await isStale(join(directory, holder), own)) {
      await unlink(join(directory, holder)).catch(ignoring('ENOENT'))
    } else {
      free = false
    }
  }
  return free
}

async function isStale(holder: string, own: string): Promise<boolean> {
  const state = await ownerState(basename(holder))
  if (state !== 'rebooted') return state === 'dead'
  const stats = await stat(holder).catch(ignoring('ENOENT'))
  if (stats === undefined) return false
  return (await timeByFile(own)).getTime() - stats.mtimeMs > REBOOTED_AFTER_MS
}

async function holdersOf(directory: string): Promise<readonly string[]> {
  return (await readdir(directory).catch(ignoring('ENOENT'))) ?? []
}

async function removeEmpty(directory: string): Promise<boolean> {
  return rmdir(directory).then(
    () => true,
    (error: unknown) => ignoring('ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY')(error) ?? false,
  )
}

async function heldError(directory: string, name: string): Promise<S3loError> {
  const [holder = ''] = await holdersOf(directory)
  const pid = parseOwner(holder)?.pid
  const who = pid === undefined ? 'another process' : `process ${pid}`
  return new S3loError(
    'UNAVAILABLE',
    `the lock of ${name} in ${dirname(directory)} is held by ${who}`,
    {
      hint: `if that process is gone for good, remove ${directory}`,
    },
  )
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
