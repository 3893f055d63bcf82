import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CallOptions } from '@s3lo/core'
import { toFileError } from '../file-error.ts'

const WRITE_SIZE = 1024 * 1024

type Content = Readable | AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** Writes content to a new file in `folder`, flushed to the disk, and gives its path; on failure nothing stays. */
export async function stageFile(
  folder: string,
  content: Content,
  { signal }: CallOptions = {},
): Promise<string> {
  const path = join(folder, `.s3lo-${randomBytes(8).toString('hex')}.tmp`)
  try {
    // Opened before anything can fail: a file that a stream opens later would outlive its removal.
    const handle = await open(path, 'wx')
    const file = handle.createWriteStream({ flush: true, highWaterMark: WRITE_SIZE })
    await pipeline(content, file, signal ? { signal } : {})
    return path
  } catch (error) {
    if (content instanceof Readable) content.destroy()
    await rm(path, { force: true })
    signal?.throwIfAborted()
    throw toFileError(error, folder)
  }
}

/** Gives a staged file its name, atomically and for good; when that fails the staged file is removed. */
export async function commitFile(staged: string, path: string): Promise<void> {
  try {
    await rename(staged, path)
  } catch (error) {
    await rm(staged, { force: true })
    throw toFileError(error, path)
  }
  await flushFolder(dirname(path))
}

/** Writes the whole file or leaves what was there. */
export async function writeAtomically(
  path: string,
  content: Content,
  options?: CallOptions,
): Promise<void> {
  await commitFile(await stageFile(dirname(path), content, options), path)
}

/**
 * Flushes a file that has its content and its name already, as {@link writeAtomically} would: what has
 * reached the disk costs nothing.
 */
export async function flushWritten(path: string): Promise<void> {
  try {
    // Windows flushes only what is open for writing.
    const handle = await open(path, process.platform === 'win32' ? 'r+' : 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw toFileError(error, path)
  }
  await flushFolder(dirname(path))
}

/** A name survives a power cut only when its folder has been flushed too. Windows cannot open folders. */
async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
