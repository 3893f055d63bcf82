import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { asDescriptor, type ManifestDocument, MAX_MANIFEST_BYTES } from '../oci/document.ts'
import { asObject, parseStrictJson } from '../oci/json.ts'
import { isManifestMediaType } from '../oci/media-type.ts'

const VERSION = 1

/** An entry repeats what its manifest says of itself, and adds a version, digest and size. */
export const MAX_ENTRY_BYTES = MAX_MANIFEST_BYTES + 4096

/** The descriptor that a referrer is listed by (OCI distribution spec v1.1.1, "listing referrers"). */
export function describeReferrer({ descriptor, manifest }: ManifestDocument): Descriptor {
  const { digest, size } = descriptor
  const { mediaType, annotations } = manifest
  const configType = manifest.kind === 'manifest' ? manifest.config.mediaType : undefined
  const artifactType = manifest.artifactType ?? configType
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

/** Throws `INTEGRITY` for a manifest that refers to something else. */
export function assertRefersTo({ descriptor, manifest }: ManifestDocument, subject: string): void {
  if (manifest.subject?.digest === subject) return
  throw new S3loError('INTEGRITY', `manifest ${descriptor.digest} does not refer to ${subject}`)
}

/** The object by which a referrer is listed, without reading its manifest. */
export function formatReferrerEntry(descriptor: Descriptor): Uint8Array {
  const { mediaType, digest, size, artifactType, annotations } = descriptor
  const entry = { v: VERSION, mediaType, digest, size, artifactType, annotations }
  return Buffer.from(JSON.stringify(entry))
}

/** Throws `INTEGRITY` for what is no entry of that digest, `UNSUPPORTED` for one of another version. */
export function parseReferrerEntry(content: Uint8Array, key: string, digest: string): Descriptor {
  const object = asObject(parseStrictJson(content, key), key)
  if (object['v'] !== VERSION) {
    throw new S3loError('UNSUPPORTED', `${key}: expected version ${VERSION} of an entry`)
  }
  const found = asDescriptor(object, key)
  const { mediaType, size, artifactType, annotations } = found
  if (found.digest !== digest) {
    throw new S3loError('INTEGRITY', `${key}: expected ${digest}, got ${found.digest}`)
  }
  if (!isManifestMediaType(mediaType)) {
    throw new S3loError('INTEGRITY', `${key}: ${mediaType} is no media type of a manifest`)
  }
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}
