import { Readable } from 'node:stream'
import type { AttachPlace, CallOptions, FetchOptions, ImageSource } from '@s3lo/core/plugin'
import { isS3loError, S3loError } from '@s3lo/core/plugin'
import {
  type Descriptor,
  type ImageStore,
  layerIndexKey,
  type ManifestDocument,
  readAll,
  type Reference,
  withPublication,
} from '@s3lo/core'
import { ArtifactsDb } from './artifacts/artifacts-db.ts'
import type { SociBlobStore } from './index/build-contract.ts'
import {
  type Index,
  indexAnnotationImageLayerDigest,
  type IndexVersion,
  sociIndexArtifactType,
  sociLayerMediaType,
} from './index/soci-index.ts'
import { type KeptZtoc, MAX_ZTOC_BYTES, openKept, packZtocStream, unpackKept } from './kept-ztoc.ts'

/** The SOCI artifacts of a store, wherever their version keeps them. */
export class StoreArtifacts implements ImageSource, SociBlobStore {
  readonly kind = 'random-access'
  readonly store: ImageStore
  readonly db: ArtifactsDb
  /** Of artifacts that are made: an index of version 1 is a referrer, its blobs are a referrer's. */
  readonly #version: IndexVersion

  /** Whose image they are of; an index of version 1 is attached there. */
  readonly #repository: string | undefined

  constructor(store: ImageStore, version: IndexVersion = 'v2', repository?: string) {
    this.store = store
    this.db = new ArtifactsDb(store.backend)
    this.#version = version
    this.#repository = repository
  }

  get name(): string {
    return this.store.name
  }

  resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return this.store.resolve(reference, options)
  }

  referrers(
    repository: string,
    subject: Descriptor,
    options?: CallOptions,
  ): AsyncIterable<Descriptor> {
    return this.store.referrers(repository, subject, options)
  }

  async fetch(descriptor: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    try {
      return await this.store.fetch(descriptor, options)
    } catch (error) {
      if (!isS3loError(error, 'NOT_FOUND')) throw error
      const repository = await this.#repositoryOf(descriptor.digest, options)
      if (repository === undefined) throw error
      return this.store.fetch(descriptor, { ...options, repository })
    }
  }

  async exists(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    // What a version 1 index names must not depend on another image's blobs.
    if (this.#version === 'v2' && (await this.store.blobs.has(descriptor, options))) return true
    if (this.#version === 'v2') return false
    try {
      const content = await this.fetch(descriptor, { ...options, range: { start: 0, end: 1 } })
      content.destroy()
      return true
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return false
      throw error
    }
  }

  async push(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    if (this.#version === 'v2') await this.store.blobs.put(descriptor, await open(), options)
    else await this.store.blobs.putReferrerBlob(descriptor, await open(), options)
  }

  /** Attaches an index of version 1 to its image's manifest. */
  attach(
    index: ManifestDocument,
    manifest: Descriptor,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    const purpose = `attaching a SOCI index to ${manifest.digest}`
    const place = { repository: this.#requireRepository(), subject: manifest }
    return withPublication(this.store, { purpose }, (publication) =>
      publication.attach(index, place, open, options),
    )
  }

  /** Takes every other index of version 1 off the image's manifest. */
  async detachOthers(
    index: Descriptor,
    manifest: Descriptor,
    options?: CallOptions,
  ): Promise<void> {
    const place = { repository: this.#requireRepository(), subject: manifest }
    const listed = this.store.referrers(place.repository, manifest, options)
    const referrers = await Array.fromAsync(listed)
    for (const { digest, artifactType } of referrers) {
      if (artifactType !== sociIndexArtifactType || digest === index.digest) continue
      await this.detach(place, digest, options)
      await this.db.forget([digest], options)
    }
  }

  /** Takes an index of version 1 off its image's manifest. */
  detach(place: AttachPlace, digest: string, options?: CallOptions): Promise<void> {
    const purpose = `taking a SOCI index off ${place.subject.digest}`
    return withPublication(this.store, { purpose }, (publication) =>
      publication.detach(place, digest, options),
    )
  }

  /**
   * Keeps every zTOC of an index beside its layer, where `s3lo cat` looks first. What is kept there
   * stays only when it is this very zTOC.
   */
  async keepZtocs({ blobs }: Pick<Index, 'blobs'>, options?: CallOptions): Promise<void> {
    for (const { mediaType, digest, size, annotations } of blobs) {
      const layer = annotations?.[indexAnnotationImageLayerDigest]
      if (mediaType !== sociLayerMediaType || layer === undefined) continue
      if ((await this.keptZtoc(layer, options)) === digest) continue
      const stream = await this.fetch({ mediaType, digest, size }, options)
      const packed = await packZtocStream(stream, { layer, ztoc: digest })
      const key = layerIndexKey('soci', layer)
      await this.store.backend.put(key, packed, { ...options, size: packed.byteLength })
    }
  }

  /** The digest of the zTOC that is kept beside a layer; `undefined` where none is that is whole and the layer's. */
  async keptZtoc(layer: string, options?: CallOptions): Promise<string | undefined> {
    try {
      const { label } = await unpackKept(await this.#readKept(layer, options), layer)
      return label.ztoc
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND') || isS3loError(error, 'INTEGRITY')) return undefined
      throw error
    }
  }

  /** The zTOC that is kept beside a layer. Throws `NOT_FOUND`, and `INTEGRITY` for one that is not the layer's. */
  async openKept(layer: Descriptor, options?: CallOptions): Promise<KeptZtoc> {
    return openKept(await this.#readKept(layer.digest, options), layer)
  }

  async #readKept(layer: string, options?: CallOptions): Promise<Uint8Array> {
    const key = layerIndexKey('soci', layer)
    const { body } = await this.store.backend.get(key, options)
    return readAll(body, MAX_ZTOC_BYTES, key)
  }

  /** The image with its new root, as a source that it can be published from. */
  publishable(document: ManifestDocument): ImageSource {
    return {
      kind: 'random-access',
      name: this.name,
      resolve: () => Promise.resolve(document.descriptor),
      fetch: (descriptor, options) =>
        descriptor.digest === document.descriptor.digest
          ? Promise.resolve(Readable.from([document.content]))
          : this.store.fetch(descriptor, options),
    }
  }

  /** A version 1 index is found through the repository whose image it was made for. */
  async #repositoryOf(digest: string, { signal }: CallOptions): Promise<string | undefined> {
    const record = await this.db.find(digest, { signal })
    if (record?.artifactType !== sociIndexArtifactType) return undefined
    return record.repository === '' ? undefined : record.repository
  }

  #requireRepository(): string {
    if (this.#repository !== undefined) return this.#repository
    throw new S3loError('USAGE', 'an index of version 1 is attached to an image of a repository', {
      hint: 'say which: new IndexBuilder(…, { repository })',
    })
  }
}
