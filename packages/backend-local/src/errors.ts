import { type ErrorCode, isS3loError, S3loError } from '@s3lo/core/plugin'

interface Meaning {
  readonly code: ErrorCode
  readonly reason: string
  readonly hint?: string
  readonly contentFault?: boolean
}

const FULL: Meaning = {
  code: 'IO',
  reason: 'the disk is full',
  hint: 'free some space and try again',
}
const DENIED: Meaning = {
  code: 'FORBIDDEN',
  reason: 'permission denied',
  hint: 'check the owner and the mode of the directory',
}
const SHAPE: Meaning = {
  code: 'UNSUPPORTED',
  reason: 'a directory cannot hold an object and a folder of the same name',
}

/** What an errno means to the user; every other one is `IO`. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: FULL,
  EDQUOT: { ...FULL, reason: 'the disk quota is used up' },
  EIO: { code: 'IO', reason: 'the disk failed' },
  EFBIG: { code: 'IO', reason: 'the file system cannot hold a file of that size' },
  EMFILE: { code: 'IO', reason: 'too many open files', hint: 'raise the limit: ulimit -n' },
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: { ...DENIED, reason: 'the file system is read-only', hint: 'mount it writable' },
  ENAMETOOLONG: {
    code: 'INVALID_REFERENCE',
    reason: 'the file system allows no name of that length',
  },
  ELOOP: {
    code: 'IO',
    reason: 'its symbolic links lead in a circle',
    hint: 'remove the link',
    contentFault: true,
  },
  ENOTDIR: SHAPE,
  EISDIR: SHAPE,
  ENOTEMPTY: SHAPE,
}

/** The file system's error as an s3lo error; `what` names the object. Passes s3lo errors through. */
export function toLocalError(error: unknown, what: string): unknown {
  const errno = errnoOf(error)
  if (isS3loError(error) || errno === undefined) return error
  const meaning = MEANINGS[errno]
  if (meaning === undefined) {
    return new S3loError('IO', `${what}: ${(error as Error).message}`, { cause: error })
  }
  const { code, reason, hint, contentFault } = meaning
  return new S3loError(code, `${what}: ${reason}`, { hint, contentFault, cause: error })
}

/** Runs `action` and translates what it throws. */
export async function translating<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw toLocalError(error, what)
  }
}

/** As {@link translating}, for synchronous calls. */
export function translatingNow<T>(what: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw toLocalError(error, what)
  }
}

/** The errno name (`ENOENT`) of a file system error. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('errno' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** For `catch`: gives `undefined` for one of `codes`, and throws anything else again. */
export function ignoring(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (codes.includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** What `look` gives; `undefined` where nothing is there. */
export function unlessMissing<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    return ignoring('ENOENT', 'ENOTDIR')(error)
  }
}
