import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type { CallOptions } from '@s3lo/core'
import { writeBody } from '@s3lo/core/files'
import { toFileError } from '../file-error.ts'

type Content = Uint8Array | Readable | AsyncIterable<Uint8Array>

/** Writes content to a new file in `folder`, flushed to the disk, and gives its path; on failure nothing stays. */
export async function stageFile(
  folder: string,
  content: Content,
  { signal }: CallOptions = {},
): Promise<string> {
  const path = join(folder, `.s3lo-${randomBytes(8).toString('hex')}.tmp`)
  const toError = (error: unknown): unknown => toFileError(error, folder)
  const isPlain = content instanceof Uint8Array || content instanceof Readable
  const body = isPlain ? content : Readable.from(content, { objectMode: false })
  try {
    const handle = await open(path, 'wx').catch((error: unknown) => {
      throw toError(error)
    })
    try {
      await writeBody(handle, body, { name: folder, signal, toError })
    } finally {
      await handle.close()
    }
    return path
  } catch (error) {
    if (body instanceof Readable) body.destroy()
    await rm(path, { force: true })
    throw error
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
