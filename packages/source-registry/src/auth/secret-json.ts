import { asObject, type JsonObject, S3loError } from '@s3lo/core/plugin'

/**
 * Parses a JSON object that holds secrets. Throws `INTEGRITY` with nothing of the text in it: the
 * errors of `JSON.parse` quote what they stumble over.
 */
export function parseSecretJson(text: string, what: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new S3loError('INTEGRITY', `${what} is not JSON`)
  }
  return asObject(value, what)
}
