import type { CallOptions } from '../contract/call-options.ts'
import type { DeleteFailure, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { referrerKey, referrersPrefix } from '../layout/keys.ts'
import { parseContentKey } from '../layout/parse-key.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf, parseDigest } from '../oci/digest.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, parseManifest } from '../oci/document.ts'
import { orImageFault } from './image-fault.ts'
import { readObject } from './read-object.ts'

/**
 * What refers to a manifest: signatures, SBOMs, attestations. Each referrer is one object below its
 * subject's digest, so that adding one never rewrites another.
 */
export class ReferrerStore {
  readonly #backend: StorageBackend

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /**
   * The referrers of a subject, in digest order, each with its artifact type and annotations. Throws
   * what is wrong with the first one that cannot be read, after all others.
   */
  async *list(subject: Descriptor, options?: CallOptions): AsyncGenerator<ManifestDocument> {
    let fault: S3loError | undefined
    for await (const { key } of this.#backend.list(referrersPrefix(subject.digest), options)) {
      const parsed = parseContentKey(key)
      if (parsed?.kind !== 'referrer') continue
      const document = await orImageFault(() => this.#read(key, parsed.digest, options))
      if (isS3loError(document)) fault ??= document
      else if (document) yield document
    }
    if (fault) throw fault
  }

  /** One referrer of a subject, verified; `undefined` when it is not there. Throws `INTEGRITY`. */
  find(
    subject: Descriptor,
    digest: string,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    return this.#read(referrerKey(subject.digest, digest), digest, options)
  }

  /** Removes a referrer; its blobs are left to the collector. */
  async detach(
    subject: Descriptor,
    digest: string,
    options?: CallOptions,
  ): Promise<readonly DeleteFailure[]> {
    return this.#backend.delete([referrerKey(subject.digest, digest)], options)
  }

  async #read(
    key: string,
    digest: string,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined> {
    const content = await readObject(this.#backend, key, MAX_MANIFEST_BYTES, options)
    if (!content) return undefined
    const actual = digestOf(content, parseDigest(digest).algorithm)
    if (actual !== digest) throw new S3loError('INTEGRITY', `expected ${digest}, got ${actual}`)
    const manifest = parseManifest(content, digest)
    // OCI image spec v1.1.1: without an artifactType, the config's media type tells what it is.
    const artifactType =
      manifest.artifactType ??
      (manifest.kind === 'manifest' ? manifest.config.mediaType : undefined)
    const descriptor: Descriptor = {
      mediaType: manifest.mediaType,
      digest,
      size: content.byteLength,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(manifest.annotations ? { annotations: manifest.annotations } : {}),
    }
    return { descriptor, content, manifest }
  }
}
