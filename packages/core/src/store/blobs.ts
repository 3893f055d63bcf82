import { Readable, Transform } from 'node:stream'
import { ChunkedLayer } from './chunked-layer.ts'
import type { ByteRange, CallOptions } from '../contract/call-options.ts'
import type { PlainLayer } from '../contract/image-source.ts'
import type { ObjectBody, ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { blobKey, legacyBlobKey, referrerBlobKey, stagingKey } from '../layout/keys.ts'
import { type Descriptor, isForeignLayer } from '../oci/descriptor.ts'
import { Digester } from '../oci/digest.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { pipeThrough, verified } from '../stream/verify-digest.ts'
import { readRecipe, recipeKeys } from './read-recipe.ts'
import { RecentMap } from './recent-map.ts'

/** Images of layout v1.0.0 in whose folders a blob is looked for, one request each: those that were read last. */
const MAX_LEGACY_PREFIXES = 16

/** Chunks of the layers whose recipes are remembered, for reads in ranges; typically 4 MiB each. */
const MAX_REMEMBERED_CHUNKS = 50_000

/** How a blob is stored. `chunks`: as a recipe and chunks, of format 1 (the Go program's) or 2. */
export type BlobForm = 'whole' | 'chunks'

/** A blob that is stored. */
export interface FoundBlob {
  /** Bytes. */
  readonly size: number
  /** The one object that holds it; absent where it is stored in chunks. */
  readonly key?: string
}

/**
 * The content of a store: the one place through which every layer, config and child manifest is
 * read and written, so that another way of storing a layer changes nothing else.
 */
export class BlobStore {
  readonly #backend: StorageBackend
  /** Folders of v1.0.0 images that were resolved, whose blobs are their own. */
  readonly #legacyPrefixes = new RecentMap<string, true>(MAX_LEGACY_PREFIXES)
  /** Layers in chunks of which a range was read, by their digests. */
  readonly #layers = new RecentMap<string, ChunkedLayer>(
    MAX_REMEMBERED_CHUNKS,
    ({ recipe }) => recipe.chunks.length + 1,
  )

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /** Lets blobs of a v1.0.0 image be found. */
  addLegacyPrefix(prefix: string): void {
    this.#legacyPrefixes.set(prefix, true)
  }

  /** True when the blob is there and as long as it should be: a torn one is not there. */
  async has(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    return (await this.look(descriptor, options)) !== undefined
  }

  /** As {@link has}, with the facts of the object. */
  async look(descriptor: Descriptor, options?: CallOptions): Promise<ObjectInfo | undefined> {
    const info = await this.#backend.head(blobKey(descriptor.digest), options)
    return info?.size === descriptor.size ? info : undefined
  }

  /** How the blob is stored, or `undefined` when it is not. */
  async form(digest: string, options?: CallOptions): Promise<BlobForm | undefined> {
    if (await this.#backend.head(blobKey(digest), options)) return 'whole'
    for (const key of recipeKeys(digest)) {
      if (await this.#backend.head(key, options)) return 'chunks'
    }
    return undefined
  }

  /**
   * The blob by its digest alone: where nothing else tells its size. `undefined` when it is not stored.
   * Throws `UNSUPPORTED` for a layer in chunks whose size is not recorded.
   */
  async find(digest: string, options?: CallOptions): Promise<FoundBlob | undefined> {
    for (const key of this.#wholeKeys(digest)) {
      const info = await this.#backend.head(key, options)
      if (info) return { size: info.size, key }
    }
    const recipe = await readRecipe(this.#backend, digest, options)
    if (!recipe) return undefined
    const { blobSize } = new ChunkedLayer(this.#backend, digest, recipe)
    if (blobSize !== undefined) return { size: blobSize }
    throw new S3loError('UNSUPPORTED', `layer ${digest} is stored in chunks of unknown size`)
  }

  /** The blob's bytes; a whole read is verified. Throws `NOT_FOUND`, `UNSUPPORTED`, `INTEGRITY`. */
  async open(
    descriptor: Descriptor,
    { range, signal }: CallOptions & { readonly range?: ByteRange | undefined } = {},
  ): Promise<Readable> {
    const known = range && this.#layers.get(descriptor.digest)
    if (range && known) return this.#openRange(known, descriptor, { range, signal })
    const found = await this.#findWhole(descriptor, { range, signal })
    if (!found) return this.#openChunked(descriptor, { range, signal })
    const { info, body } = found
    if (info.size !== descriptor.size) {
      body.destroy()
      throw wrongSize(descriptor, info.size)
    }
    return range ? body : verified(body, descriptor)
  }

  /**
   * The uncompressed content of a layer that is stored in chunks; `undefined` for a blob that is
   * whole or missing. See `ImageSource.plainLayer`. Throws `INTEGRITY`.
   */
  async plainLayer(descriptor: Descriptor, options?: CallOptions): Promise<PlainLayer | undefined> {
    if (await this.#backend.head(blobKey(descriptor.digest), options)) return undefined
    const layer = await this.#findChunked(descriptor, options)
    if (!layer) return undefined
    const { content } = layer.recipe
    return {
      ...content,
      open: ({ range, signal } = {}) => {
        const body = Readable.from(layer.content({ range, signal }), { objectMode: false })
        return Promise.resolve(range ? body : verified(body, content))
      },
    }
  }

  /** Stores content, verified while it passes. */
  async put(descriptor: Descriptor, content: Readable, options: CallOptions = {}): Promise<void> {
    await this.#write(blobKey(descriptor.digest), descriptor, content, options)
  }

  /**
   * Copies the blob from another bucket without moving its bytes through this process. False where
   * that cannot be done, or the other bucket does not have it as one object of its size.
   */
  async mount(
    { digest, size }: Descriptor,
    source: StorageBackend,
    options?: CallOptions,
  ): Promise<boolean> {
    const key = blobKey(digest)
    try {
      return (await this.#backend.copyFrom?.(source, key, key, options))?.size === size
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return false
      throw error
    }
  }

  /** As {@link has}, for a blob that {@link putReferrerBlob} has stored. */
  async hasReferrerBlob(descriptor: Descriptor, options?: CallOptions): Promise<boolean> {
    const info = await this.#backend.head(referrerBlobKey(descriptor.digest), options)
    return info?.size === descriptor.size
  }

  /** Stores a blob of a referrer, out of reach of the Go program's collector. */
  async putReferrerBlob(
    descriptor: Descriptor,
    content: Readable,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#write(referrerBlobKey(descriptor.digest), descriptor, content, options)
  }

  /**
   * Stores content of unknown digest, and of unknown size (bytes) where none is given: it waits in the
   * store's staging place until it has been hashed.
   */
  async ingest(
    content: Readable,
    size: number | undefined,
    mediaType: string,
    options: CallOptions = {},
  ): Promise<Descriptor> {
    const key = stagingKey(process.getBuiltinModule('node:crypto').randomUUID())
    const digester = new Digester()
    const hash = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        digester.update(chunk)
        done(null, chunk)
      },
    })
    try {
      const info = await this.#backend.put(key, pipeThrough(content, hash), { ...options, size })
      const descriptor = { mediaType, digest: digester.digest(), size: info.size }
      if (!(await this.has(descriptor, options))) await this.#settle(key, descriptor, options)
      return descriptor
    } finally {
      // Not bound to the signal: an abort must not leave the staged bytes behind.
      await this.#backend.delete([key])
    }
  }

  async #settle(stagedKey: string, descriptor: Descriptor, options: CallOptions): Promise<void> {
    const key = blobKey(descriptor.digest)
    if (await this.#backend.copyFrom?.(this.#backend, stagedKey, key, options)) return
    const { body } = await this.#backend.get(stagedKey, options)
    await this.put(descriptor, body, options)
  }

  async #write(
    key: string,
    descriptor: Descriptor,
    content: Readable,
    options: CallOptions,
  ): Promise<void> {
    await this.#backend.put(key, verified(content, descriptor), {
      ...options,
      size: descriptor.size,
      digest: descriptor.digest,
      mediaType: MEDIA_TYPE.octetStream,
      storageClass: 'tiered',
    })
  }

  async #findWhole(
    { digest }: Descriptor,
    options: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<ObjectBody | undefined> {
    for (const key of this.#wholeKeys(digest)) {
      try {
        return await this.#backend.get(key, options)
      } catch (error) {
        if (!isS3loError(error, 'NOT_FOUND')) throw error
      }
    }
    return undefined
  }

  /** Where a blob may be as one object. */
  #wholeKeys(digest: string): readonly string[] {
    return [
      blobKey(digest),
      ...this.#legacyPrefixes.recent().map((prefix) => legacyBlobKey(prefix, digest)),
      referrerBlobKey(digest),
    ]
  }

  async #openChunked(
    descriptor: Descriptor,
    { range, signal }: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<Readable> {
    const layer = await this.#findChunked(descriptor, { signal })
    if (!layer) throw missing(descriptor)
    if (range) return this.#openRange(layer, descriptor, { range, signal })
    const body = Readable.from(layer.frames({ signal }), { objectMode: false })
    return verified(body, { ...descriptor, hint: layer.otherStreamHint })
  }

  /** A client that reads one range reads more: the recipe is not read again for each. */
  #openRange(
    layer: ChunkedLayer,
    descriptor: Descriptor,
    options: CallOptions & { readonly range: ByteRange },
  ): Readable {
    const { digest } = descriptor
    assertSize(layer, descriptor)
    this.#layers.set(digest, layer)
    const forget = (): void => this.#layers.delete(digest)
    return Readable.from(layer.frames(options), { objectMode: false }).once('error', forget)
  }

  async #findChunked(
    descriptor: Descriptor,
    { signal }: CallOptions = {},
  ): Promise<ChunkedLayer | undefined> {
    const recipe = await readRecipe(this.#backend, descriptor.digest, { signal })
    if (!recipe) return undefined
    const layer = new ChunkedLayer(this.#backend, descriptor.digest, recipe)
    assertSize(layer, descriptor)
    return layer
  }
}

function assertSize({ blobSize }: ChunkedLayer, descriptor: Descriptor): void {
  const { size } = descriptor
  if ((blobSize ?? size) !== size) throw wrongSize(descriptor, blobSize ?? size)
}

function wrongSize({ digest, size }: Descriptor, actual: number): S3loError {
  return new S3loError(
    'INTEGRITY',
    `blob ${digest} has ${actual} bytes in the store, not ${size}`,
    { hint: 'push or copy the image again: a torn blob is replaced' },
  )
}

function missing(descriptor: Descriptor): S3loError {
  const { digest, urls = [] } = descriptor
  if (isForeignLayer(descriptor)) {
    return new S3loError(
      'UNSUPPORTED',
      `layer ${digest} is not in the store: only its maker distributes it`,
      { hint: `it is at ${urls[0]}` },
    )
  }
  return new S3loError('NOT_FOUND', `blob ${digest} is missing from the store`, {
    hint: 'push or copy the image again to repair it',
  })
}
