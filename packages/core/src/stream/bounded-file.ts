import type { FileHandle } from 'node:fs/promises'
import type { CallOptions } from '../contract/call-options.ts'
import { isS3loError, S3loError } from '../errors.ts'

/** How often a pipe whose writer is still at work is looked at. */
const PIPE_POLL_MS = 20
const CHUNK = 64 * 1024

/**
 * The content of a small file of this machine. A pipe (`<(command)` of a shell) is read until its
 * writer closes it; one without a writer is an error at once, and no device is waited for.
 *
 * Throws `NOT_FOUND` where there is no file, `IO` where it cannot be read, and `INTEGRITY` past
 * `limit` bytes; no more than that is ever held.
 */
export async function readBoundedFile(
  path: string | URL,
  limit: number,
  { signal }: CallOptions = {},
): Promise<Buffer> {
  signal?.throwIfAborted()
  const file = await openWithoutWaiting(path)
  try {
    return await readToEnd(file, path, limit, signal)
  } catch (error) {
    signal?.throwIfAborted()
    throw unreadable(path, error)
  } finally {
    await file.close()
  }
}

/** {@link readBoundedFile}, with `undefined` where there is no file. */
export async function readOptionalFile(
  path: string | URL,
  limit: number,
  options?: CallOptions,
): Promise<Buffer | undefined> {
  try {
    return await readBoundedFile(path, limit, options)
  } catch (error) {
    if (isS3loError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/**
 * {@link readBoundedFile} for where nothing can be waited for, so that a pipe whose writer has
 * written nothing yet is an error (`IO`).
 */
export function readBoundedFileSync(path: string, limit: number): Buffer {
  const { closeSync, constants, openSync, readSync } = process.getBuiltinModule('node:fs')
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const chunks: Buffer[] = []
    let size = 0
    for (;;) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, limit + 1 - size))
      const read = readSync(file, buffer, 0, buffer.length, null)
      if (read === 0) return Buffer.concat(chunks, size)
      chunks.push(buffer.subarray(0, read))
      size += read
      if (size > limit) throw tooLarge(path, limit)
    }
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * Opens a regular file for reading. Never waits for the writer of a pipe. Throws `NOT_FOUND`, and
 * `IO` for what cannot be opened and for all that is no regular file.
 */
export async function openRegularFile(path: string | URL): Promise<FileHandle> {
  const file = await openWithoutWaiting(path)
  try {
    if ((await file.stat()).isFile()) return file
    throw new S3loError('IO', `${nameOf(path)} is no regular file`)
  } catch (error) {
    await file.close()
    throw unreadable(path, error)
  }
}

async function openWithoutWaiting(path: string | URL): Promise<FileHandle> {
  const { constants, open } = await import('node:fs/promises')
  try {
    // Windows has no such flag, and no pipes among its files.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    throw unreadable(path, error)
  }
}

async function readToEnd(
  file: FileHandle,
  path: string | URL,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const isPipe = (await file.stat()).isFIFO()
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    signal?.throwIfAborted()
    // One byte more than is allowed tells a file that is too long, even one that has no length.
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, limit + 1 - size))
    const read = await (isPipe ? readPipe(file, buffer, signal) : readSome(file, buffer))
    if (read === 0) break
    chunks.push(buffer.subarray(0, read))
    size += read
    if (size > limit) throw tooLarge(path, limit)
  }
  if (isPipe && size === 0) throw new S3loError('IO', `${nameOf(path)} is a pipe without content`)
  return Buffer.concat(chunks, size)
}

/** The next bytes; waits while a writer has the pipe open and has written nothing. */
async function readPipe(
  file: FileHandle,
  buffer: Buffer,
  signal: AbortSignal | undefined,
): Promise<number> {
  for (;;) {
    try {
      return await readSome(file, buffer)
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error
    }
    const { setTimeout } = await import('node:timers/promises')
    await setTimeout(PIPE_POLL_MS, undefined, { signal })
  }
}

async function readSome(file: FileHandle, buffer: Buffer): Promise<number> {
  return (await file.read(buffer, 0, buffer.length, null)).bytesRead
}

function tooLarge(path: string | URL, limit: number): S3loError {
  return new S3loError('INTEGRITY', `file ${nameOf(path)} is larger than ${limit} bytes`)
}

function unreadable(path: string | URL, cause: unknown): unknown {
  if (isS3loError(cause)) return cause
  const code = codeOf(cause)
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new S3loError('NOT_FOUND', `file ${nameOf(path)} does not exist`, { cause })
  }
  // The system's word for it: its messages repeat the path.
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause))
  return new S3loError('IO', `file ${nameOf(path)} cannot be read: ${reason}`, { cause })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}

function nameOf(path: string | URL): string {
  return typeof path === 'string' ? path : path.pathname
}
