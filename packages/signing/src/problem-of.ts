import { isS3loError } from '@s3lo/core/plugin'

/**
 * What is wrong with content, in words: anybody may have written it, so it says "not signed" and is
 * no failure. Throws every other error, such as that of a store that does not answer.
 */
export function problemOf(error: unknown): string {
  if (isS3loError(error) && error.contentFault) return error.message
  throw error
}
