import { isS3loError } from '@s3lo/core'

/** The code that a promise fails with; `none` when it does not, and the text of a foreign error. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
  return 'none'
}
