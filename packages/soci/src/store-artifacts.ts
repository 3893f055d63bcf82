import { Readable } from 'node:stream'
import type { CallOptions, FetchOptions, ImageSource } from '@s3lo/core/plugin'
import { isS3loError } from '@s3lo/core/plugin'
import {
  type Descriptor,
  type ImageStore,
  layerIndexKey,
  type ManifestDocument,
  type Reference,
} from '@s3lo/core'
import { ArtifactsDb } from './artifacts/artifacts-db.ts'
import type { IndexWithMetadata, SociBlobStore } from './index/build.ts'
import {
  indexAnnotationImageLayerDigest,
  type IndexVersion,
  sociIndexArtifactType,
  sociLayerMediaType,
} from './index/soci-index.ts'
import { packZtocStream } from './kept-ztoc.ts'

/** The SOCI artifacts of a store, wherever their version keeps them. */
export class StoreArtifacts implements ImageSource, SociBlobStore {
  readonly kind = 'random-access'
  readonly store: ImageStore
  readonly db: ArtifactsDb
  /** Of artifacts that are made: an index of version 1 is a referrer, its blobs are a referrer's. */
  readonly #version: IndexVersion

  constructor(store: ImageStore, version: IndexVersion = 'v2') {
    this.store = store
    this.db = new ArtifactsDb(store.backend)
    this.#version = version
  }

  get name(): string {
    return this.store.name
  }

  resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return this.store.resolve(reference, options)
  }

  referrers(subject: Descriptor, options?: CallOptions): AsyncIterable<Descriptor> {
    return this.store.referrers(subject, options)
  }

  async fetch(descriptor: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    try {
      return await this.store.fetch(descriptor, options)
    } catch (error) {
      if (!isS3loError(error, 'NOT_FOUND')) throw error
      if (!(await this.#findReferrer(descriptor.digest, options))) throw error
      return this.store.fetch(descriptor, options)
    }
  }

  async exists(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    // What a version 1 index names must not depend on another image's blobs.
    if (this.#version === 'v2' && (await this.store.exists(descriptor, options))) return true
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
    if (this.#version === 'v2') await this.store.push(descriptor, open, options)
    // The index itself is attached once it is whole.
    else if (descriptor.mediaType === sociLayerMediaType) {
      await this.store.blobs.putReferrerBlob(descriptor, await open(), options)
    }
  }

  /** Attaches an index of version 1 to its image's manifest. */
  async attach(
    { document, manifest, index }: Pick<IndexWithMetadata, 'document' | 'manifest' | 'index'>,
    emptyConfig: Uint8Array,
    options?: CallOptions,
  ): Promise<void> {
    const open = async (blob: Descriptor): Promise<Readable> =>
      blob.digest === index.config.digest
        ? Readable.from([emptyConfig])
        : this.store.fetch(blob, options)
    await this.store.attach(document, manifest, open, options)
  }

  /** Keeps every zTOC of an index compressed beside its layer, where `s3lo cat` looks first. */
  async keepZtocs(
    { index }: Pick<IndexWithMetadata, 'index'>,
    options?: CallOptions,
  ): Promise<void> {
    const { backend } = this.store
    for (const { mediaType, digest, size, annotations } of index.blobs) {
      const layer = annotations?.[indexAnnotationImageLayerDigest]
      if (mediaType !== sociLayerMediaType || layer === undefined) continue
      const key = layerIndexKey('soci', layer)
      if (await backend.head(key, options)) continue
      const stream = await this.fetch({ mediaType, digest, size }, options)
      const packed = await packZtocStream(stream)
      await backend.put(key, packed, { ...options, size: packed.byteLength })
    }
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

  /** A version 1 index is found through the image that it refers to. */
  async #findReferrer(digest: string, { signal }: CallOptions): Promise<boolean> {
    const record = await this.db.find(digest, { signal })
    if (record?.artifactType !== sociIndexArtifactType) return false
    const subject = { mediaType: '', size: 0, digest: record.originalDigest }
    for await (const referrer of this.store.referrers(subject, { signal })) {
      if (referrer.digest === digest) return true
    }
    return false
  }
}
