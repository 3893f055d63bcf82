import type { Readable } from 'node:stream'
import {
  type CallOptions,
  type Descriptor,
  type FetchOptions,
  type ImageSource,
  isManifestMediaType,
  isS3loError,
  MAX_MANIFEST_BYTES,
  parseManifest,
  type Reference,
  S3loError,
} from '@s3lo/core'
import { DOCKER_MANIFEST } from '../image/docker-manifest.ts'
import { verified } from '../stream/verified.ts'
import { blobPath, LAYOUT_INDEX, type LayoutFiles, MAX_INDEX_BYTES } from './layout-files.ts'
import { type LayoutEntry, parseLayoutIndex, selectEntry } from './layout-index.ts'

/** The images of an OCI layout, in a directory or in an archive. */
export class LayoutSource implements ImageSource {
  readonly kind = 'random-access'
  readonly name: string
  readonly #files: LayoutFiles

  constructor(files: LayoutFiles) {
    this.name = files.name
    this.#files = files
  }

  async resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    const { mediaType, digest, size, platform } = await this.#select(reference, options)
    const known = isManifestMediaType(mediaType)
      ? mediaType
      : parseManifest(await this.#readBlob(digest, options), digest).mediaType
    return { mediaType: known, digest, size, ...(platform ? { platform } : {}) }
  }

  async fetch(descriptor: Descriptor, { range, signal }: FetchOptions = {}): Promise<Readable> {
    const content = await this.#files.content(blobPath(descriptor.digest), range, { signal })
    return range ? content : verified(content, descriptor, signal)
  }

  async *tags(_repository: string, options?: CallOptions): AsyncIterable<string> {
    for (const { refName } of await this.#entries(options)) {
      if (refName !== undefined) yield refName
    }
  }

  async *referrers(subject: Descriptor, options?: CallOptions): AsyncIterable<Descriptor> {
    for (const { descriptor } of await this.#entries(options)) {
      if (!isManifestMediaType(descriptor.mediaType)) continue
      const manifest = parseManifest(
        await this.#readBlob(descriptor.digest, options),
        descriptor.digest,
      )
      if (manifest.subject?.digest !== subject.digest) continue
      const { mediaType, digest, size } = descriptor
      const { artifactType, annotations } = manifest
      yield {
        mediaType,
        digest,
        size,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...(annotations === undefined ? {} : { annotations }),
      }
    }
  }

  async close(): Promise<void> {
    await this.#files.close()
  }

  async #select(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    const entries = await this.#entries(options)
    try {
      return selectEntry(entries, reference, this.name)
    } catch (error) {
      // A child of an index has no entry of its own, but its blob is there.
      const child = isS3loError(error, 'NOT_FOUND') && reference.digest
      const size = child ? await this.#files.size(blobPath(child), options) : undefined
      if (!child || size === undefined) throw error
      return { mediaType: '', digest: child, size }
    }
  }

  async #entries(options?: CallOptions): Promise<readonly LayoutEntry[]> {
    if ((await this.#files.size(LAYOUT_INDEX, options)) === undefined) {
      const isDocker = (await this.#files.size(DOCKER_MANIFEST, options)) !== undefined
      throw new S3loError('NOT_FOUND', `${this.name} is not there, or has no ${LAYOUT_INDEX}`, {
        hint: isDocker ? 'it is a docker archive: write docker-archive:' : undefined,
      })
    }
    return parseLayoutIndex(
      await this.#files.read(LAYOUT_INDEX, MAX_INDEX_BYTES, options),
      this.name,
    )
  }

  async #readBlob(digest: string, options?: CallOptions): Promise<Uint8Array> {
    return this.#files.read(blobPath(digest), MAX_MANIFEST_BYTES, options)
  }
}
