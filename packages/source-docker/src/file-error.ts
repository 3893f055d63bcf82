import type { FileHandle } from 'node:fs/promises'
import { type ErrorCode, isS3loError, openRegularFile, S3loError } from '@s3lo/core'

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'NOT_FOUND',
  EACCES: 'FORBIDDEN',
  EPERM: 'FORBIDDEN',
  EROFS: 'FORBIDDEN',
  ENAMETOOLONG: 'INVALID_REFERENCE',
}

/** The system's name of a failure (`ENOENT`), where it has one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}

/** Gives a failure of the file system its meaning; an error of ours passes. */
export function toFileError(error: unknown, name: string): unknown {
  const code = systemCode(error)
  if (isS3loError(error) || code === undefined || !/^E[A-Z]+$/.test(code)) return error
  const hint = code === 'ENOSPC' ? { hint: 'free space on that disk and try again' } : {}
  return new S3loError(CODES[code] ?? 'IO', `${name}: ${reason(code, error)}`, {
    cause: error,
    ...hint,
  })
}

/** Opens a regular file for reading. Throws `IO` for a pipe or a device, for which it never waits. */
export async function openFile(path: string, name: string): Promise<FileHandle> {
  try {
    return await openRegularFile(path)
  } catch (error) {
    throw toFileError((isS3loError(error) && error.cause) || error, name)
  }
}

function reason(code: string, error: unknown): string {
  if (code === 'ENOENT') return 'no such file or directory'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code === 'ENOSPC') return 'no space left on the disk'
  if (code === 'ENAMETOOLONG') return 'the file system allows no name of that length'
  return error instanceof Error ? error.message : code
}
