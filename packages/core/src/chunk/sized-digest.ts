import { S3loError } from '../errors.ts'
import { isDigest } from '../oci/digest.ts'
import { asSize, asString, type JsonObject } from '../oci/json.ts'

/** Content, by its sha256, and its length (bytes). */
export interface SizedDigest {
  readonly digest: string
  readonly size: number
}

/** The hex of a sha256. */
export function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}

/** The sha256 whose hex a member is. Throws `INTEGRITY`. */
export function readSha256(value: unknown, path: string): string {
  const digest = `sha256:${asString(value, path)}`
  if (isDigest(digest)) return digest
  throw new S3loError('INTEGRITY', `${path} is not the hex of a sha256`)
}

/** Content that two members of a document tell. Throws `INTEGRITY`. */
export function readSized(
  object: JsonObject,
  member: string,
  sizeMember: string,
  path: string,
): SizedDigest {
  const digest = readSha256(object[member], `${path}.${member}`)
  return { digest, size: asSize(object[sizeMember], `${path}.${sizeMember}`) }
}
