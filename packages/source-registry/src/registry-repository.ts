import { Readable } from 'node:stream'
import {
  type Descriptor,
  documentWith,
  isManifestMediaType,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  readAll,
  type Reference,
  successors,
  uniqueByDigest,
  verified,
} from '@s3lo/core'
import {
  type AttachPlace,
  type CallOptions,
  type FetchOptions,
  type ImageSource,
  type ImageTarget,
  type Publication,
  isRefusal,
  isS3loError,
  S3loError,
  type TagOptions,
} from '@s3lo/core/plugin'
import { openBlob } from './blob-download.ts'
import { hasBlob } from './blob-lookup.ts'
import { BlobPlaces } from './blob-places.ts'
import { BlobUploader, type BlobUploaderOptions } from './blob-upload.ts'
import { Manifests } from './manifests.ts'
import { Referrers } from './referrers.ts'
import type { RegistryAnswer, RegistryClient } from './registry-client.ts'
import { isRepository } from './registry-name.ts'
import { type RepositoryAccess, RepositoryApi } from './repository-api.ts'
import { listTags } from './tag-list.ts'
import { isUploadOpened, UPLOAD_OPENED, UploadSession } from './upload-session.ts'

/** How a repository is used. */
export interface RegistryRepositoryOptions extends BlobUploaderOptions {
  /** What tokens are asked to allow. Default `push`, which includes reading. */
  readonly access?: RepositoryAccess | undefined
  /** What is known of where blobs are. Without it, only what this repository is asked to mount. */
  readonly places?: BlobPlaces | undefined
}

/** Answers that say: the blob cannot be mounted, send it. */
const NO_MOUNT = [400, 401, 403, 404, 405, 406, 409, 411, 413, 415, 416, 422, 500, 501]

/** One repository of a registry, to read from and to write to. */
export class RegistryRepository implements ImageSource, ImageTarget, Publication {
  readonly kind = 'random-access'
  /** `ghcr.io/org/app`. */
  readonly name: string
  readonly #api: RepositoryApi
  readonly #manifests: Manifests
  readonly #referrers: Referrers
  readonly #uploader: BlobUploader
  /** Blobs that were looked for and not found: a push need not look again. */
  readonly #absent = new Set<string>()
  /** Uploads that the registry opened instead of a mount, by digest. */
  readonly #opened = new Map<string, UploadSession>()
  readonly #places: BlobPlaces
  /** Blobs that could not be mounted: the push need not ask again. */
  readonly #unmounted = new Set<string>()
  /** False once the registry has refused a mount that names no repository. */
  #mountsFromAnywhere = true

  /** Throws `INVALID_REFERENCE` for what cannot be a repository. */
  constructor(client: RegistryClient, repository: string, options: RegistryRepositoryOptions = {}) {
    if (!isRepository(repository)) {
      const shown = JSON.stringify(repository.slice(0, 160))
      throw new S3loError('INVALID_REFERENCE', `${shown} is not a repository`)
    }
    this.#api = new RepositoryApi(client, repository, options.access ?? 'push')
    this.name = this.#api.nameOf({})
    this.#manifests = new Manifests(this.#api)
    this.#referrers = new Referrers(this.#api, this.#manifests)
    this.#uploader = new BlobUploader(this.#api, options)
    this.#places = options.places ?? new BlobPlaces()
  }

  async resolve(reference: Reference, options?: CallOptions): Promise<Descriptor> {
    return this.#manifests.resolve(this.#placeOf(reference), options)
  }

  async fetch(descriptor: Descriptor, options: FetchOptions = {}): Promise<Readable> {
    const { mediaType, digest, size } = descriptor
    if (!isManifestMediaType(mediaType)) {
      const content = await openBlob(this.#api, descriptor, options)
      this.#noteHere(digest)
      return content
    }
    const { document } = await this.#manifests.get({ digest }, options)
    const { content } = document
    if (content.byteLength !== size) {
      const found = `${content.byteLength} bytes instead of ${size}`
      throw new S3loError('INTEGRITY', `${this.#api.nameOf({ digest })} has ${found}`)
    }
    const { start = 0, end } = options.range ?? {}
    const whole = Readable.from([content.subarray(start, end)], { objectMode: false })
    return options.range ? whole : verified(whole, descriptor)
  }

  /** A registry keeps every blob for some time: there is nothing to protect. */
  begin(): Publication {
    return this
  }

  async has(descriptor: Descriptor, options: CallOptions = {}): Promise<boolean> {
    const { mediaType, digest } = descriptor
    if (isManifestMediaType(mediaType)) return this.#manifests.exists(descriptor, options)
    const { client } = this.#api
    const { signal } = options
    const isThere = await hasBlob(this.#api, descriptor, 'pull', (call) =>
      client.ask({ ...call, signal }),
    )
    if (isThere) this.#noteHere(digest)
    else this.#absent.add(digest)
    return isThere
  }

  async put(
    descriptor: Descriptor,
    open: () => Promise<Readable>,
    options: CallOptions = {},
  ): Promise<void> {
    const { mediaType, digest } = descriptor
    if (isManifestMediaType(mediaType)) {
      const content = verified(await open(), descriptor)
      const bytes = await readAll(content, MAX_MANIFEST_BYTES, `manifest ${digest}`)
      await this.#put(documentWith(descriptor, bytes), { name: '', digest }, options)
      return
    }
    const isAbsent = this.#opened.has(digest) || this.#absent.delete(digest)
    if (!isAbsent && (await this.has(descriptor, options))) return
    if (!this.#unmounted.has(digest) && (await this.#mountFrom(undefined, digest, options))) return
    const opened = this.#opened.get(digest)
    this.#opened.delete(digest)
    try {
      await this.#uploader.push(descriptor, open, options, opened)
    } catch (error) {
      await opened?.cancel()
      throw error
    }
    this.#noteHere(digest)
  }

  /** Publishes under the tag; `createOnly` is atomic only where the registry knows conditions. */
  async tag(root: ManifestDocument, reference: Reference, options: TagOptions = {}): Promise<void> {
    const place = this.#placeOf(reference)
    if (options.createOnly) await this.#assertNoTag(place, options)
    await this.#put(root, place, options)
  }

  async mount(
    descriptor: Descriptor,
    source: ImageSource,
    { signal }: CallOptions = {},
  ): Promise<boolean> {
    const { mediaType, digest } = descriptor
    if (isManifestMediaType(mediaType)) return false
    const from =
      this.#siblingOf(source) ??
      (await this.#places.find(this.#registry, digest, this.#api.repository))
    return from !== undefined && this.#mountFrom(from, digest, { signal })
  }

  async ingest(
    content: Readable,
    size: number,
    mediaType: string,
    options?: CallOptions,
  ): Promise<Descriptor> {
    return { mediaType, digest: await this.#uploader.ingest(content, size, options), size }
  }

  async attach(
    referrer: ManifestDocument,
    { repository, subject }: AttachPlace,
    open: (blob: Descriptor) => Promise<Readable>,
    options?: CallOptions,
  ): Promise<void> {
    this.#assertMine(repository)
    const { digest } = referrer.descriptor
    const { manifest } = referrer
    if (manifest.subject?.digest !== subject.digest) {
      throw new S3loError('INTEGRITY', `manifest ${digest} does not refer to ${subject.digest}`)
    }
    for (const blob of uniqueByDigest(successors(manifest))) {
      await this.put(blob, () => open(blob), options)
    }
    await this.#put(referrer, { name: '', digest }, options)
  }

  tags(repository: string, options?: CallOptions): AsyncIterable<string> {
    this.#assertMine(repository)
    return listTags(this.#api, options)
  }

  referrers(
    repository: string,
    subject: Descriptor,
    options?: CallOptions,
  ): AsyncIterable<Descriptor> {
    this.#assertMine(repository)
    return this.#referrers.list(subject, options)
  }

  /** Deletes a tag, or a manifest by digest. Throws `NOT_FOUND`, and `UNSUPPORTED` where it is not offered. */
  async delete(reference: Reference, options?: CallOptions): Promise<void> {
    await this.#manifests.delete(this.#placeOf(reference), options)
  }

  /** Cancels uploads that are not continued, and closes the client. */
  async close(): Promise<void> {
    for (const session of this.#opened.values()) await session.cancel()
    this.#opened.clear()
    await this.#places.save()
    await this.#api.client.close()
  }

  get #registry(): string {
    return this.#api.client.origin.host
  }

  /** The repository of a source that is another one of the same registry. */
  #siblingOf(source: ImageSource): string | undefined {
    if (!(source instanceof RegistryRepository)) return undefined
    const { client, repository } = source.#api
    const isHere = client.origin.href === this.#api.client.origin.href
    return isHere && repository !== this.#api.repository ? repository : undefined
  }

  #noteHere(digest: string): void {
    this.#absent.delete(digest)
    this.#places.note(this.#registry, digest, this.#api.repository)
  }

  /**
   * Mounts a blob from a repository, or from wherever the registry has it. What it opens instead is
   * kept for the push. A refusal is no failure.
   */
  async #mountFrom(
    from: string | undefined,
    digest: string,
    { signal }: CallOptions,
  ): Promise<boolean> {
    if (from === undefined && !this.#mountsFromAnywhere) return false
    this.#unmounted.add(digest)
    const answer = await this.#askToMount(digest, from, signal)
    if (answer?.status === 201) {
      this.#unmounted.delete(digest)
      this.#noteHere(digest)
      return true
    }
    if (from !== undefined) this.#places.forget(this.#registry, digest, from)
    if (answer && isUploadOpened(answer))
      this.#opened.set(digest, new UploadSession(this.#api, answer))
    else if (from === undefined) this.#mountsFromAnywhere = false
    return false
  }

  /** `undefined` when the registry gives no answer to it: the push will say what is missing. */
  async #askToMount(
    digest: string,
    from: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RegistryAnswer | undefined> {
    const query = new URLSearchParams({ mount: digest, ...(from === undefined ? {} : { from }) })
    const others = from === undefined ? [] : [`repository:${from}:pull`]
    try {
      return await this.#api.client.ask({
        method: 'POST',
        to: this.#api.path(`blobs/uploads/?${query.toString()}`),
        what: this.#api.nameOf({ digest }),
        scopes: [...this.#api.scopes('push'), ...others],
        expect: [201, ...UPLOAD_OPENED, ...NO_MOUNT],
        body: new Uint8Array(),
        signal,
      })
    } catch (error) {
      if (isRefusal(error)) return undefined
      throw error
    }
  }

  async #put(
    document: ManifestDocument,
    place: Reference,
    options: TagOptions = {},
  ): Promise<void> {
    const { signal, createOnly } = options
    const condition = createOnly ? ({ kind: 'absent' } as const) : undefined
    const headers = await this.#manifests.put(document, place, { signal, condition })
    await this.#referrers.added(document, headers, { signal })
  }

  async #assertNoTag(place: Reference, options: CallOptions): Promise<void> {
    try {
      await this.#manifests.resolve(place, options)
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return
      throw error
    }
    throw new S3loError('CONFLICT', `${this.#api.nameOf(place)} is there already`)
  }

  /** A digest is more exact than a tag beside it. */
  #placeOf({ name, tag, digest }: Reference): Reference {
    this.#assertMine(name)
    if (digest !== undefined) return { name, digest }
    return tag === undefined ? { name, tag: 'latest' } : { name, tag }
  }

  #assertMine(repository: string): void {
    if (repository === '' || repository === this.#api.repository) return
    throw new S3loError('USAGE', `${repository} is not ${this.#api.repository} of ${this.name}`)
  }
}
