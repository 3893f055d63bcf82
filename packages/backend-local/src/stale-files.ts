import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ignoring } from './errors.ts'
import { timeByNewFile } from './file-time.ts'
import { STAGING } from './key-path.ts'
import { ownerState } from '@s3lo/core/process'
import type { StoreRoot } from './store-root.ts'

const DEAD_AFTER_MS = 60_000
const ABANDONED_AFTER_MS = 24 * 3_600_000

/**
 * Removes what dead processes left in the staging place.
 *
 * A file goes when its owner is dead for certain and it is a minute old, or when no process wrote to
 * it for a day and its owner cannot be judged from here (another host or container). The file of
 * a process that runs stays, however old: it may be a slow upload. Should a day-long sleeper of
 * another host wake up after all, its put fails, since the file that it would publish is gone.
 */
export async function sweepStaleFiles(root: StoreRoot): Promise<void> {
  const staging = join(root.path, STAGING)
  const now = await timeByNewFile(root)
  if (now === undefined) return
  for (const name of (await readdir(staging).catch(ignoring('ENOENT'))) ?? []) {
    const path = join(staging, name)
    const stats = await stat(path).catch(ignoring('ENOENT'))
    if (stats === undefined) continue
    const age = now.getTime() - stats.mtimeMs
    if (age < DEAD_AFTER_MS || !(await isLeftover(name, age))) continue
    await rm(path, { recursive: true, force: true })
  }
}

async function isLeftover(name: string, age: number): Promise<boolean> {
  const state = await ownerState(name)
  return state === 'dead' || (state !== 'alive' && age >= ABANDONED_AFTER_MS)
}
