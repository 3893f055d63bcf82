import { type ErrorCode, isS3loError, type S3loError } from '../errors.ts'

/** What sources answer about that which they do not show, whether or not it is there. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'UNSUPPORTED',
  'INVALID_REFERENCE',
])

/** True for an error by which a source shows nothing, while nothing is wrong with the source. */
export function isRefusal(error: unknown): error is S3loError {
  return isS3loError(error) && REFUSALS.has(error.code)
}

/**
 * True for a refusal of what lies beside an image, while the image's own manifest is not refused:
 * then there is none to be had, and the image is whole without it. `readSubject` asks for that
 * manifest; it is called for a refusal only.
 */
export async function isRefusedBeside(
  error: unknown,
  readSubject: () => Promise<unknown>,
): Promise<boolean> {
  if (!isRefusal(error)) return false
  try {
    await readSubject()
    return true
  } catch {
    return false
  }
}

/**
 * True for an error that keeps a target's present content from being read and is no failure of the
 * target: what is broken there, or not shown, is about to be replaced, and what may not be written
 * the write will tell.
 */
export function isUnreadable(error: unknown): boolean {
  return isRefusal(error) || isS3loError(error, 'INTEGRITY')
}
