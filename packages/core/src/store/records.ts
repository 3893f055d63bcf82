import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import type { Origin, RecordPlace } from '../gc/protected-write.ts'
import type { Protection } from '../gc/protection.ts'
import {
  parseRepositoryKey,
  recordKey,
  recordsPrefix,
  REPOSITORIES_PREFIX,
} from '../layout/repository-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { algorithmOf, digestOf } from '../oci/digest.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, parseDocument } from '../oci/document.ts'
import { readObject } from './read-object.ts'

/** A manifest that stays pullable by its digest within a repository, named by a tag or not. */
export interface RecordEntry {
  readonly repository: string
  readonly digest: string
  /** Its date is the beginning of the manifest's life without a tag. */
  readonly info: ObjectInfo
}

export interface WriteRecordOptions extends CallOptions {
  /** The tag that has the very manifest, where its content is not looked for. */
  readonly origin?: Origin | undefined
}

/**
 * Writes the record of a manifest anew, so that it has the date of this write. The caller has pinned
 * what keeps the manifest's content: all that it names, or the digest where the repository has its
 * record. That the content is there is for the caller to know, or for `origin` to prove. Throws as
 * `Protection.publish` does.
 */
export async function writeRecord(
  protection: Protection,
  repository: string,
  { content, descriptor, manifest }: ManifestDocument,
  { origin, signal }: WriteRecordOptions = {},
): Promise<ObjectInfo | undefined> {
  let info: ObjectInfo | undefined
  const write = async (): Promise<boolean> => {
    info = await protection.publish({
      key: recordKey(repository, descriptor.digest),
      content,
      mediaType: manifest.mediaType,
      digests: [descriptor.digest],
      origin,
      signal,
    })
    return true
  }
  // After a gap between two pins, in which a collector may have deleted it, it is looked for again.
  await protection.put(descriptor, write, { signal }, recordPlace(repository))
  return info
}

/**
 * The manifest of a digest by its record in a repository, verified; `undefined` when there is none.
 * Throws `INTEGRITY` for a record of other content.
 */
export async function readRecord(
  backend: StorageBackend,
  repository: string,
  digest: string,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  const key = recordKey(repository, digest)
  const content = await readObject(backend, key, MAX_MANIFEST_BYTES, options)
  if (!content) return undefined
  const actual = digestOf(content, algorithmOf(digest))
  if (actual === digest) return parseDocument(content, `${repository}@${digest}`, { digest })
  throw new S3loError('INTEGRITY', `the object ${key} does not have the digest ${digest}`)
}

const PLACE = 'records of '

/** Where `Protection.has` looks for the record of a digest. */
export function recordPlace(repository: string): RecordPlace {
  return `${PLACE}${repository}`
}

/** True when a repository has the record, whole as far as its size tells. */
export async function hasRecord(
  backend: StorageBackend,
  { digest, size }: Descriptor,
  place: RecordPlace,
  options?: CallOptions,
): Promise<boolean> {
  const info = await backend.head(recordKey(place.slice(PLACE.length), digest), options)
  return info?.size === size
}

/** The records of a repository in the order of their digests; without one, those of all repositories. */
export async function* listRecords(
  backend: StorageBackend,
  repository: string | undefined,
  options?: CallOptions,
): AsyncGenerator<RecordEntry> {
  const prefix = repository === undefined ? REPOSITORIES_PREFIX : recordsPrefix(repository)
  for await (const info of backend.list(prefix, options)) {
    const key = parseRepositoryKey(info.key)
    if (key?.kind !== 'record') continue
    if (repository !== undefined && key.repository !== repository) continue
    yield { repository: key.repository, digest: key.digest, info }
  }
}
