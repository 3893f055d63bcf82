import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { blobKey, legacyManifestKey, legacyPrefix, manifestKey } from '../layout/keys.ts'
import { algorithmOf, digestOf, isDigest } from '../oci/digest.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, parseDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { orImageFault } from './image-fault.ts'
import { readObject, readVersion } from './read-object.ts'
import { readRecord } from './records.ts'
import type { RepositoryReach } from './repository-reach.ts'
import type { TagEntry } from './tag-entry.ts'
import { readImageTags } from './tags.ts'

/** Reads the manifest of a tag of layout v1.1.0; `undefined` when there is none. Throws `INTEGRITY`. */
export async function readTagManifest(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  return (await readTagVersion(backend, reference, options))?.document
}

/** As {@link readTagManifest}, with the facts of its object. */
export async function readTagVersion(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<{ readonly document: ManifestDocument; readonly info: ObjectInfo } | undefined> {
  const key = manifestKey(reference)
  const version = await readVersion(backend, key, MAX_MANIFEST_BYTES, options)
  if (!version) return undefined
  const { content, info } = version
  return { document: parseDocument(content, formatImageName(reference)), info }
}

/** Reads the manifest of a tag of either layout; `undefined` when it is gone. Throws `INTEGRITY`. */
export async function readEntryManifest(
  backend: StorageBackend,
  { image, tag, info }: TagEntry,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  return readDocument(backend, info.key, `${image}:${tag}`, options)
}

/** What a tag publishes, a manifest or not. */
export interface TagContent {
  readonly content: Uint8Array
  /** Of the object; see `TagOptions.replaces`. */
  readonly etag: string
}

/**
 * The raw bytes of the manifest of a v1.1.0 tag, for verifiers; `undefined` when there are
 * none. Throws `INTEGRITY` for more than a manifest may have.
 */
export async function readTagContent(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<TagContent | undefined> {
  const version = await readVersion(backend, manifestKey(reference), MAX_MANIFEST_BYTES, options)
  return version && { content: version.content, etag: version.info.etag }
}

/** The etag of what a v1.1.0 tag publishes (see {@link TagContent}), without reading it; `undefined` when there is none. */
export async function tagEtag(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<string | undefined> {
  return (await backend.head(manifestKey(reference), options))?.etag
}

/** Reads the manifest of a tag of layout v1.0.0; `undefined` when there is none. Throws `INTEGRITY`. */
export async function readLegacyManifest(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  const prefix = legacyPrefix(reference)
  if (prefix === undefined) return undefined
  return readDocument(backend, legacyManifestKey(prefix), formatImageName(reference), options)
}

/**
 * Finds a manifest by its digest within a repository: by its record, or where a root of the repository
 * reaches it. That it is a blob of the store is not enough, for it may be another repository's. The
 * content decides: a tag that is merely named like the digest does not count, and what does not have
 * the digest is not looked into. Throws `INVALID_REFERENCE` for a digest that cannot be checked,
 * `INTEGRITY` when record or blob is damaged and nothing else has the content.
 */
export async function findManifest(
  backend: StorageBackend,
  reach: RepositoryReach,
  { repository, digest }: { readonly repository: string; readonly digest: string },
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  const name = `${repository}@${digest}`
  if (!isDigest(digest)) throw unknownDigest(name)
  const record = await orImageFault(() => readRecord(backend, repository, digest, options))
  if (record && !isS3loError(record)) return record
  const root = await reach.find(repository, digest, options)
  const key = root?.digest === digest ? root.key : blobKey(digest)
  const content = root && (await readCandidate(backend, await backend.head(key, options), options))
  if (content && hasDigest(content, digest)) return toNamed(content, name, digest)
  // Tags are known by their digests in sha256.
  if (root || algorithmOf(digest) !== 'sha256') {
    const tagged = await readTagged(backend, { repository, digest }, options)
    if (tagged) return toNamed(tagged, name, digest)
  }
  // A tag that has been moved since names another manifest.
  if (content && root.digest !== digest) {
    throw new S3loError('INTEGRITY', `the object ${key} does not have the digest ${digest}`)
  }
  if (record) throw record
  // Its tag may have been moved since the first look: the record was written before that.
  return readRecord(backend, repository, digest, options)
}

/** The content of a repository's tag that has the digest. */
async function readTagged(
  backend: StorageBackend,
  { repository, digest }: { readonly repository: string; readonly digest: string },
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  for await (const { info } of readImageTags(backend, repository, options)) {
    const content = await readCandidate(backend, info, options)
    if (content && hasDigest(content, digest)) return content
  }
  return undefined
}

/** Parsers of references take any digest, as those of the Go program do. */
function unknownDigest(name: string): S3loError {
  return new S3loError('INVALID_REFERENCE', `${name} has a digest that cannot be checked`, {
    hint: 'digests are sha256:<64 hex digits> or sha512:<128 hex digits>, in lower case',
  })
}

/** The bytes of an object that may be a manifest by its size; `undefined` for another and where there is none. */
export async function readCandidate(
  backend: StorageBackend,
  info: ObjectInfo | undefined,
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  if (!info || info.size > MAX_MANIFEST_BYTES) return undefined
  return readObject(backend, info.key, MAX_MANIFEST_BYTES, options)
}

function hasDigest(content: Uint8Array, digest: string): boolean {
  return digestOf(content, algorithmOf(digest)) === digest
}

/** Throws `INTEGRITY` or `UNSUPPORTED` for what is no manifest. */
function toNamed(content: Uint8Array, name: string, digest: string): ManifestDocument {
  return parseDocument(content, name, { digest })
}

async function readDocument(
  backend: StorageBackend,
  key: string,
  name: string,
  options?: CallOptions,
): Promise<ManifestDocument | undefined> {
  const content = await readObject(backend, key, MAX_MANIFEST_BYTES, options)
  return content && parseDocument(content, name)
}
