import {
  asArray,
  asDescriptor,
  asObject,
  type Descriptor,
  isManifestMediaType,
  type JsonObject,
  type Manifest,
  type ManifestDocument,
  MEDIA_TYPE,
  parseDigest,
  parseJson,
  toDocument,
} from '@s3lo/core'
import { type CallOptions, S3loError } from '@s3lo/core/plugin'
import type { HttpHeaders } from './http.ts'
import { isLostRace, type Manifests } from './manifests.ts'
import { pagesOf } from './paged-list.ts'
import { mediaTypeIn, type RepositoryApi } from './repository-api.ts'

/** Times that the fallback index is written before somebody else's writes have won for good. */
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

  /** The referrers of a subject, each once. */
  async *list(subject: Descriptor, options: CallOptions = {}): AsyncGenerator<Descriptor> {
    const seen = new Set<string>([subject.digest])
    for await (const entries of this.#entries(subject, options)) {
      for (const entry of entries) {
        if (seen.has(entry.digest) || !isManifestMediaType(entry.mediaType)) continue
        seen.add(entry.digest)
        yield entry
      }
    }
  }

  /**
   * To be called when a manifest with a subject has been put, with the answer's headers: a
   * registry that did not take note of the subject gets an entry in the fallback index.
   */
  async added(
    referrer: ManifestDocument,
    manifest: Manifest,
    headers: HttpHeaders,
    options: CallOptions = {},
  ): Promise<void> {
    const subject = manifest.subject?.digest
    if (subject === undefined || headers.get('oci-subject') === subject) return
    const tag = fallbackTag(subject)
    const before = this.#lastWrites.get(tag) ?? Promise.resolve()
    const write = before.then(() => this.#register(tag, entryOf(referrer, manifest), options))
    const settled = write.catch(() => {}) // Whoever asked for that write has the error.
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
    const what = `the referrers of ${this.#api.nameOf(subject)}`
    const call = {
      to: this.#api.path(`referrers/${subject.digest}`),
      what,
      // Registries that know no such path have many ways to say so.
      expect: [200, 400, 404, 405, 501],
      headers: { accept: MEDIA_TYPE.ociIndex },
      signal,
    }
    for await (const { status, headers, content } of pagesOf(this.#api, call)) {
      // Some answer everything with a page for people.
      const isIndex = mediaTypeIn(headers.get('content-type')) === MEDIA_TYPE.ociIndex
      if (status !== 200 || !isIndex) {
        yield await this.#fallbackEntries(subject, { signal })
        return
      }
      yield entriesIn(content, what).map(({ descriptor }) => descriptor)
    }
  }

  async #fallbackEntries(
    { digest }: Descriptor,
    options: CallOptions,
  ): Promise<readonly Descriptor[]> {
    const tag = fallbackTag(digest)
    const found = await this.#manifests.find({ tag }, options)
    if (!found) return []
    const what = this.#api.nameOf({ tag })
    return entriesIn(found.document.content, what).map(({ descriptor }) => descriptor)
  }

  /** Reads, adds, writes and looks again, until the entry is there to stay. */
  async #register(tag: string, entry: JsonObject, options: CallOptions): Promise<void> {
    for (let writes = 0; writes <= MAX_WRITES; writes += 1) {
      const found = await this.#manifests.find({ tag }, options)
      const what = this.#api.nameOf({ tag })
      const entries = found ? entriesIn(found.document.content, what) : []
      if (entries.some(({ descriptor }) => descriptor.digest === entry['digest'])) return
      const raw = entries.map((one) => one.raw)
      const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [...raw, entry] }
      const document = toDocument(Buffer.from(JSON.stringify(index)), MEDIA_TYPE.ociIndex)
      try {
        await this.#manifests.put(document, { tag }, { ...options, condition: conditionOf(found) })
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
}

/** The tag of the fallback index of a digest. */
export function fallbackTag(digest: string): string {
  const { algorithm, hex } = parseDigest(digest)
  return `${algorithm}-${hex.slice(0, 64)}`
}

/** What a registry that knows no conditions ignores. */
function conditionOf(found: { readonly etag?: string } | undefined) {
  if (found === undefined) return { kind: 'absent' } as const
  return found.etag === undefined ? undefined : ({ kind: 'unchanged', etag: found.etag } as const)
}

interface IndexEntry {
  readonly descriptor: Descriptor
  /** As it was read, so that members nobody knows here stay. */
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
function entryOf({ descriptor }: ManifestDocument, manifest: Manifest): JsonObject {
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
