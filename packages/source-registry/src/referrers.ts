import {
  asArray,
  asDescriptor,
  asObject,
  type Descriptor,
  isIndexMediaType,
  isManifestMediaType,
  type JsonObject,
  type ManifestDocument,
  MEDIA_TYPE,
  parseDigest,
  parseJson,
  referrersTagOf,
  toDocument,
} from '@s3lo/core'
import { type CallOptions, isRefusal, isS3loError, S3loError } from '@s3lo/core/plugin'
import type { HttpHeaders } from './http.ts'
import { isLostRace, type Manifests, type TagCondition } from './manifests.ts'
import { distinct, pagesOf } from './paged-list.ts'
import { contradiction } from './registry-error.ts'
import { mediaTypeIn, type RepositoryApi } from './repository-api.ts'

/** Times that the fallback index is written before the writes of others have won for good. */
const MAX_WRITES = 10

/**
 * What refers to the manifests of a repository: by the referrers API, and by the tag schema where
 * the registry has no such API (OCI distribution spec v1.1.1, "referrers tag schema").
 */
export class Referrers {
  readonly #api: RepositoryApi
  readonly #manifests: Manifests
  /** Writes of a fallback index follow one another, at least within this process. */
  readonly #lastWrites = new Map<string, Promise<void>>()

  constructor(api: RepositoryApi, manifests: Manifests) {
    this.#api = api
    this.#manifests = manifests
  }

  /**
   * The referrers of a subject, each once. What is listed is a claim of the registry: only the
   * manifest of a referrer says what it refers to. Throws `UNAUTHORIZED`, `FORBIDDEN` or
   * `UNSUPPORTED` where the registry refuses to say, after those that it showed in another way.
   */
  async *list(subject: Descriptor, options: CallOptions = {}): AsyncGenerator<Descriptor> {
    const entries = distinct(this.#entries(subject, options), ({ digest }) => digest)
    for await (const entry of entries) {
      if (entry.digest !== subject.digest && isManifestMediaType(entry.mediaType)) yield entry
    }
  }

  /**
   * To be called when a manifest with a subject has been put, with the answer's headers: a
   * registry that did not take note of the subject gets an entry in the fallback index.
   */
  async added(
    referrer: ManifestDocument,
    headers: HttpHeaders,
    options: CallOptions = {},
  ): Promise<void> {
    const subject = referrer.manifest.subject?.digest
    if (subject === undefined || headers.get('oci-subject') === subject) return
    const tag = referrersTagOf(subject)
    const before = this.#lastWrites.get(tag) ?? Promise.resolve()
    const write = before.then(() => this.#register(subject, entryOf(referrer), options))
    const settled = write.catch(() => {}) // The caller of that write has the error.
    this.#lastWrites.set(tag, settled)
    try {
      await write
    } finally {
      if (this.#lastWrites.get(tag) === settled) this.#lastWrites.delete(tag)
    }
  }

  async *#entries(
    subject: Descriptor,
    { signal }: CallOptions,
  ): AsyncGenerator<readonly Descriptor[]> {
    parseDigest(subject.digest)
    let refusal: S3loError | undefined
    try {
      if (yield* this.#listed(subject, { signal })) return
    } catch (error) {
      if (!isRefusal(error)) throw error
      refusal = error
    }
    yield await this.#fallbackEntries(subject, { signal })
    if (refusal) throw refusal
  }

  /** What the referrers API lists; false when there is none. */
  async *#listed(
    subject: Descriptor,
    { signal }: CallOptions,
  ): AsyncGenerator<readonly Descriptor[], boolean> {
    const what = `the referrers of ${this.#api.nameOf(subject)}`
    const call = {
      to: this.#api.path(`referrers/${subject.digest}`),
      what,
      // Registries that know no such path have many ways to say so.
      expect: [200, 400, 404, 405, 501],
      headers: { accept: MEDIA_TYPE.ociIndex },
      signal,
    }
    let pages = 0
    for await (const { status, headers, content } of pagesOf(this.#api, call)) {
      // Some answer everything with a page for people.
      const isIndex = mediaTypeIn(headers.get('content-type')) === MEDIA_TYPE.ociIndex
      if (status !== 200 || !isIndex) {
        if (pages === 0) return false
        throw contradiction(what, `page ${pages + 1} of the list is none (status ${status})`)
      }
      pages += 1
      yield entriesIn(content, what).map(({ descriptor }) => descriptor)
    }
    return true
  }

  async #fallbackEntries(
    subject: Descriptor,
    options: CallOptions,
  ): Promise<readonly Descriptor[]> {
    const tag = referrersTagOf(subject.digest)
    const found = await this.#findIndex(tag, subject.digest, options)
    if (found?.kind !== 'index') return []
    return found.entries.map(({ descriptor }) => descriptor)
  }

  /**
   * What a fallback tag has; `undefined` for nothing, and for the subject itself: a registry may
   * take `sha256-<hex>` for its digest. Throws `UNSUPPORTED` for what is no manifest at all.
   */
  async #findIndex(
    tag: string,
    subject: string,
    options: CallOptions,
  ): Promise<FoundIndex | undefined> {
    const what = this.#api.nameOf({ tag })
    try {
      const found = await this.#manifests.find({ tag }, options)
      if (!found || found.document.descriptor.digest === subject) return undefined
      const { content, descriptor } = found.document
      if (!isIndexMediaType(descriptor.mediaType)) return { kind: 'other' }
      return { kind: 'index', entries: entriesIn(content, what), condition: conditionOf(found) }
    } catch (error) {
      if (!isS3loError(error, 'INTEGRITY')) throw error
      throw new S3loError('UNSUPPORTED', error.message, { hint: error.hint, cause: error })
    }
  }

  /** Reads, adds, writes and looks again, until the entry is there to stay. */
  async #register(subject: string, entry: Entry, options: CallOptions): Promise<void> {
    const tag = referrersTagOf(subject)
    for (let writes = 0; writes <= MAX_WRITES; writes += 1) {
      const found = await this.#findBeforeWrite(tag, subject, entry, options)
      const { entries = [], condition = ABSENT } = found ?? {}
      if (entries.some(({ descriptor }) => descriptor.digest === entry.digest)) return
      const raw = entries.map((one) => one.raw)
      const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [...raw, entry] }
      const document = toDocument(Buffer.from(JSON.stringify(index)), MEDIA_TYPE.ociIndex)
      try {
        await this.#manifests.put(document, { tag }, { ...options, condition })
      } catch (error) {
        if (!isLostRace(error)) throw error
      }
    }
    throw new S3loError(
      'CONFLICT',
      `${this.#api.nameOf({ tag })} is being changed by others again and again`,
      { hint: 'try again later' },
    )
  }

  /**
   * The index that an entry is added to, if there is one. A refusal of the tag is none where the
   * referrer, which has just been stored, can be read. Throws `CONFLICT` for a tag of another use.
   */
  async #findBeforeWrite(
    tag: string,
    subject: string,
    { mediaType, digest, size }: Entry,
    options: CallOptions,
  ): Promise<Extract<FoundIndex, { readonly kind: 'index' }> | undefined> {
    try {
      const found = await this.#findIndex(tag, subject, options)
      if (found?.kind !== 'other') return found
    } catch (error) {
      if (!isRefusal(error)) throw error
      const isReadable = await this.#manifests.exists({ mediaType, digest, size }, options)
      if (!isReadable) throw error
      return undefined
    }
    throw new S3loError(
      'CONFLICT',
      `${this.#api.nameOf({ tag })} is to name what refers to ${subject}, and is something else`,
      { hint: 'delete that tag, or copy without referrers' },
    )
  }
}

/** What a fallback tag has. */
type FoundIndex =
  | { readonly kind: 'other' }
  | {
      readonly kind: 'index'
      readonly entries: readonly IndexEntry[]
      readonly condition: TagCondition
    }

/** The descriptor of a referrer, as a fallback index has it. */
interface Entry extends JsonObject {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

const ABSENT: TagCondition = { kind: 'absent' }
const NO_CONDITION: TagCondition = { kind: 'any' }

/** What a registry that knows no conditions ignores. A weak tag, as proxies make it, never holds. */
function conditionOf({ etag }: { readonly etag?: string }): TagCondition {
  return etag === undefined || etag.startsWith('W/') ? NO_CONDITION : { kind: 'unchanged', etag }
}

interface IndexEntry {
  readonly descriptor: Descriptor
  /** As it was read, so that unknown members stay. */
  readonly raw: unknown
}

function entriesIn(content: Uint8Array, what: string): readonly IndexEntry[] {
  const { manifests } = asObject(parseJson(content, what), what)
  return asArray(manifests ?? [], `${what}.manifests`).map((raw, i) => ({
    raw,
    descriptor: asDescriptor(raw, `${what}.manifests[${i}]`),
  }))
}

/** OCI distribution spec v1.1.1: without an artifact type of its own, that of the config. */
function entryOf({ descriptor, manifest }: ManifestDocument): Entry {
  const { mediaType, digest, size } = descriptor
  const configType = manifest.kind === 'manifest' ? manifest.config.mediaType : undefined
  const artifactType = manifest.artifactType ?? configType
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
  }
}
