import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { sessionKey } from '../layout/upload-keys.ts'
import type { DigestAlgorithm } from '../oci/digest.ts'
import { asArray, asObject, asString, optional, parseJson } from '../oci/json.ts'
import { readObject } from './read-object.ts'
import type { UploadName } from './upload-contract.ts'

const MAX_SESSION_BYTES = 4096

/** What is known of an upload from its beginning on. */
export interface Session {
  readonly repository: string
  /** That pieces are hashed with. */
  readonly algorithms: readonly DigestAlgorithm[]
  /** The only object that may add pieces; a store without create-only writes has one. */
  readonly holder: string | undefined
}

export function encodeSession({ repository, algorithms, holder }: Session): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: 1, repository, algorithms, holder }))
}

/** `undefined` for a session that is not there, or of another repository. Throws `INTEGRITY`. */
export async function readSession(
  backend: StorageBackend,
  { repository, id }: UploadName,
  options: CallOptions,
): Promise<Session | undefined> {
  const key = sessionKey(id)
  const content = await readObject(backend, key, MAX_SESSION_BYTES, options)
  const session = content && parseSession(content, key)
  return session?.repository === repository ? session : undefined
}

function parseSession(content: Uint8Array, key: string): Session {
  const document = asObject(parseJson(content, key), key)
  const algorithms = asArray(document['algorithms'], `${key}.algorithms`)
  if (document['v'] !== 1 || algorithms.length > 2 || !algorithms.every(isAlgorithm)) {
    throw new S3loError('INTEGRITY', `${key} is not a session of an upload`)
  }
  return {
    repository: asString(document['repository'], `${key}.repository`),
    algorithms,
    holder: optional(document, 'holder', key, asString),
  }
}

function isAlgorithm(value: unknown): value is DigestAlgorithm {
  return value === 'sha256' || value === 'sha512'
}

/** The error for a session that is not there. */
export function unknownUpload({ repository, id }: UploadName): S3loError {
  return new S3loError(
    'NOT_FOUND',
    `${repository} has no upload ${JSON.stringify(id.slice(0, 40))}`,
    {
      hint: 'it was finished, cancelled or left alone for a day: start it again',
    },
  )
}
