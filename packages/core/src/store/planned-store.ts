import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { FetchOptions, ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, Publication } from '../contract/image-target.ts'
import type { LayerCompressor } from '../contract/layer-compressor.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { Digester } from '../oci/digest.ts'
import { MAX_MANIFEST_BYTES } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { readAll } from '../stream/read-all.ts'
import { recycle } from '../stream/recycle.ts'
import { verified } from '../stream/verify-digest.ts'
import { isInChunks } from './copied-chunks.ts'
import type { ImageStore } from './image-store.ts'
import type { LayerPins } from './known-layers.ts'
import { type LayerFormPlace, plannedLayerForm } from './layer-form.ts'
import { PlannedChunks } from './planned-chunks.ts'
import { StoreLayers } from './store-layers.ts'
import type { WriteChunksOptions, WrittenLayer } from './write-chunks.ts'

/** What would be sent of a blob. */
export interface PlannedWrite {
  /** True where the store has all of its content already. */
  readonly exists: boolean
  /** Bytes that would be sent; of content that is there as well, where its digest comes with its end. */
  readonly bytes: number
  /** Of a layer in chunks. */
  readonly chunks?: { readonly all: number; readonly sent: number } | undefined
}

/**
 * A store as the target of one push that writes nothing: it takes everything, keeps manifests, and
 * notes what would have been sent. No pin is written, so what is there may be collected before it is used.
 */
export class PlannedStore implements ImageSource, ImageTarget {
  readonly kind = 'random-access'
  readonly takesIndexReferrers = true
  readonly #store: ImageStore
  readonly #publication: PlannedPublication

  constructor(store: ImageStore) {
    this.#store = store
    this.#publication = new PlannedPublication(store)
  }

  get name(): string {
    return this.#store.name
  }

  /** By digest; what is not among them is there and would not be sent. */
  get writes(): ReadonlyMap<string, PlannedWrite> {
    return this.#publication.writes
  }

  resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return this.#store.resolve(reference, options)
  }

  async fetch(descriptor: Descriptor, options?: FetchOptions): Promise<Readable> {
    const content = this.#publication.documents.get(descriptor.digest)
    return content ? Readable.from([content]) : this.#store.fetch(descriptor, options)
  }

  begin(): Publication {
    return this.#publication
  }
}

class PlannedPublication implements Publication {
  readonly writes = new Map<string, PlannedWrite>()
  /** Manifests below the root, which are read again. */
  readonly documents = new Map<string, Uint8Array>()
  readonly #store: ImageStore
  #layers: StoreLayers | undefined

  constructor(store: ImageStore) {
    this.#store = store
  }

  async has(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    const { digest } = descriptor
    if (this.writes.has(digest) || this.documents.has(digest)) return true
    if (this.#layers?.holds(descriptor)) return true
    const { backend, blobs } = this.#store
    return (await blobs.has(descriptor, options)) || isInChunks(backend, descriptor, options)
  }

  /** The content of a blob is not read: its size and digest are known. */
  async put(descriptor: Descriptor, open: () => Promise<Readable>): Promise<void> {
    const { digest, size, mediaType } = descriptor
    if (!isManifestMediaType(mediaType)) {
      this.#note(digest, { exists: false, bytes: size })
      return
    }
    const content = verified(await open(), descriptor)
    this.documents.set(digest, await readAll(content, MAX_MANIFEST_BYTES, digest))
  }

  async ingest(
    content: Readable,
    _size: number | undefined,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    const digester = new Digester()
    let size = 0
    for await (const bytes of content as AsyncIterable<Uint8Array>) {
      digester.update(bytes)
      size += bytes.length
      recycle(bytes)
    }
    const descriptor = { mediaType, digest: digester.digest(), size }
    const exists = await this.#store.blobs.has(descriptor, options)
    this.#note(descriptor.digest, { exists, bytes: size })
    return descriptor
  }

  compressLayers(reference: Reference): LayerCompressor {
    const { backend, blobs } = this.#store
    const chunks = new PlannedChunks(backend)
    const write = async (...args: [AsyncIterable<Uint8Array>, WriteChunksOptions?]) => {
      const written = await chunks.write(...args)
      this.#noteChunks(written)
      return written
    }
    const place = {
      backend,
      blobs,
      protection: this.#noPins,
      publication: {
        has: (...args: Parameters<PlannedPublication['has']>) => this.has(...args),
        put: (...args: Parameters<PlannedPublication['put']>) => this.put(...args),
        protect: () => Promise.resolve(),
      },
      chunks: { know: chunks.know.bind(chunks), write },
      form: (options: CallOptions) => plannedLayerForm(this.#formPlace, reference.name, options),
      ingest: (content: Readable, mediaType: string, options: CallOptions) =>
        this.ingest(content, undefined, mediaType, options),
    }
    this.#layers = new StoreLayers(place, reference)
    return this.#layers
  }

  async tag(): Promise<void> {}

  get #formPlace(): LayerFormPlace {
    return { backend: this.#store.backend, config: (options) => this.#store.config(options) }
  }

  /** Nothing is pinned, so that nothing is waited for either. */
  get #noPins(): LayerPins {
    return {
      protect: () => Promise.resolve(),
      settle: () => Promise.resolve(0),
      note: () => {},
      has: (descriptor, options) => this.#store.blobs.has(descriptor, options),
    }
  }

  #noteChunks({ recipe, sent }: WrittenLayer): void {
    const chunks = { all: recipe.chunks.length, sent: sent.chunks }
    this.#note(recipe.layer.digest, { exists: sent.chunks === 0, bytes: sent.bytes, chunks })
  }

  /** A layer that an image has twice is there the second time. */
  #note(digest: string, write: PlannedWrite): void {
    if (!this.writes.has(digest)) this.writes.set(digest, write)
  }
}
