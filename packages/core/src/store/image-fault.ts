import { type ErrorCode, isS3loError, type S3loError } from '../errors.ts'

/** What can be wrong with one image while the store as a whole answers. */
const IMAGE_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'INTEGRITY',
  'UNSUPPORTED',
  'FORBIDDEN',
])

/** True for an error that says nothing about the other images of a store. */
export function isImageFault(error: unknown): error is S3loError {
  return isS3loError(error) && IMAGE_FAULTS.has(error.code)
}

/** The result, or the error when it is one image's own. */
export async function orImageFault<T>(read: () => Promise<T>): Promise<T | S3loError> {
  try {
    return await read()
  } catch (error) {
    if (isImageFault(error)) return error
    throw error
  }
}
