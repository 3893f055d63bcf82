import type { BigIntStats, Stats } from 'node:fs'
import { type FileHandle, open, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from './errors.ts'
import { STAGING } from './key-path.ts'
import { newOwnedName } from '@s3lo/core/process'
import type { StoreRoot } from './store-root.ts'

/**
 * The time of a store is that of its file system, which every machine that has it mounted reads
 * alike. The clock of this machine decides about nothing: it may be a day off.
 *
 * The file system tells its time by the change time that it gives a file whose dates are set
 * to any value: no program can set that one.
 */
interface DatedFile {
  stat(): Promise<Stats>
  statExactly(): Promise<BigIntStats>
  utimes(accessed: Date, modified: Date): Promise<void>
}

/** Milliseconds since 1970 by the file system's clock. Leaves the file's own dates as they are. */
async function readTime(file: DatedFile): Promise<number> {
  const { atime, mtime } = await file.stat()
  await file.utimes(atime, mtime)
  return Number((await file.statExactly()).ctimeNs / 1_000_000n)
}

/** The present time, by a file of the store that is ours. */
export async function timeByFile(path: string): Promise<Date> {
  return new Date(
    await readTime({
      stat: () => stat(path),
      statExactly: () => stat(path, { bigint: true }),
      utimes: (accessed, modified) => utimes(path, accessed, modified),
    }),
  )
}

/**
 * Dates an open file now, to the microsecond, and gives that date in milliseconds. The file
 * system's own clock may tick only every few milliseconds, in which several versions of a small
 * object can follow each other.
 */
export async function stampNow(handle: FileHandle): Promise<Date> {
  const now = await readTime({
    stat: () => handle.stat(),
    statExactly: () => handle.stat({ bigint: true }),
    utimes: (accessed, modified) => handle.utimes(accessed, modified),
  })
  // The steady clock of the host tells moments within one millisecond apart, in every process alike.
  const microseconds = Number((process.hrtime.bigint() / 1000n) % 1000n)
  // Half of one more, so that no rounding takes it back into the millisecond before.
  const seconds = now / 1000 + (microseconds + 0.5) / 1_000_000
  await handle.utimes(seconds, seconds)
  return new Date(now)
}

/**
 * The present time, by a file that is made for it in the staging place and removed. `undefined`
 * where there is no such place or nothing may be written.
 */
export async function timeByNewFile(root: StoreRoot): Promise<Date | undefined> {
  const path = join(root.path, STAGING, await newOwnedName())
  try {
    const handle = await open(path, 'wx')
    try {
      return (await handle.stat()).mtime
    } finally {
      await handle.close()
      await unlink(path)
    }
  } catch (error) {
    if (CANNOT_WRITE.has(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

const CANNOT_WRITE: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
])
