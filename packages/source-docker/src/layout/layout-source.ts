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
import { LayoutEntries, parseLayoutIndex } from './layout-index.ts'

/**
 * The images of an OCI layout, in a directory or in an archive. What its `index.json` lists is read
 * once: an image of thousands of platforms asks for each of them what refers to it.
 */
export class LayoutSource implements ImageSource {
  readonly kind = 'random-access'
  readonly name: string
  readonly #files: LayoutFiles
  #entries: Promise<LayoutEntries> | undefined
  /** By the digests of their subjects. */
  #referrers: Promise<ReadonlyMap<string, readonly Descriptor[]>> | undefined

  constructor(files: LayoutFiles) {
    this.name = files.name
    this.#files = files
  }

  /** To be called when the layout was, or may have been, written to: what it lists is read again. */
  protected forget(): void {
    this.#entries = undefined
    this.#referrers = undefined
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
    for (const { refName } of (await this.#list(options)).all) {
      if (refName !== undefined) yield refName
    }
  }

  /** A layout has one list for all images. */
  async *referrers(
    _repository: string,
    subject: Descriptor,
    options?: CallOptions,
  ): AsyncIterable<Descriptor> {
    this.#referrers ??= kept(this.#readReferrers(options), () => (this.#referrers = undefined))
    yield* (await this.#referrers).get(subject.digest) ?? []
  }

  async close(): Promise<void> {
    await this.#files.close()
  }

  async #select(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    const entries = await this.#list(options)
    try {
      return entries.select(reference)
    } catch (error) {
      // A child of an index has no entry of its own, but its blob is there.
      const child = isS3loError(error, 'NOT_FOUND') && reference.digest
      const size = child ? await this.#files.size(blobPath(child), options) : undefined
      if (!child || size === undefined) throw error
      return { mediaType: '', digest: child, size }
    }
  }

  #list(options?: CallOptions): Promise<LayoutEntries> {
    this.#entries ??= kept(this.#readEntries(options), () => (this.#entries = undefined))
    return this.#entries
  }

  async #readReferrers(options?: CallOptions): Promise<ReadonlyMap<string, readonly Descriptor[]>> {
    const found = new Map<string, Descriptor[]>()
    let held = 0
    for (const { descriptor } of (await this.#list(options)).all) {
      const { mediaType, digest, size } = descriptor
      if (!isManifestMediaType(mediaType)) continue
      const manifest = parseManifest(await this.#readBlob(digest, options), digest)
      if (!manifest.subject) continue
      const { artifactType, annotations } = manifest
      held += annotations ? JSON.stringify(annotations).length : 0
      if (held > MAX_ANNOTATIONS) {
        throw new S3loError('INTEGRITY', `${this.name}: its referrers have too many annotations`)
      }
      const referrer = {
        mediaType,
        digest,
        size,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...(annotations === undefined ? {} : { annotations }),
      }
      const known = found.get(manifest.subject.digest)
      if (known) known.push(referrer)
      else found.set(manifest.subject.digest, [referrer])
    }
    return found
  }

  async #readEntries(options?: CallOptions): Promise<LayoutEntries> {
    if ((await this.#files.size(LAYOUT_INDEX, options)) === undefined) {
      const isDocker = (await this.#files.size(DOCKER_MANIFEST, options)) !== undefined
      throw new S3loError('NOT_FOUND', `${this.name} is not there, or has no ${LAYOUT_INDEX}`, {
        hint: isDocker ? 'it is a docker archive: write docker-archive:' : undefined,
      })
    }
    const content = await this.#files.read(LAYOUT_INDEX, MAX_INDEX_BYTES, options)
    return new LayoutEntries(parseLayoutIndex(content, this.name), this.name)
  }

  async #readBlob(digest: string, options?: CallOptions): Promise<Uint8Array> {
    return this.#files.read(blobPath(digest), MAX_MANIFEST_BYTES, options)
  }
}

/** Of all that refers to something in a layout, together (characters). */
const MAX_ANNOTATIONS = 64 * 1024 * 1024

/** A result that later callers get as well, unless it fails: the next one then tries again. */
function kept<T>(result: Promise<T>, forget: () => void): Promise<T> {
  result.catch(forget)
  return result
}
