import {
  type CallOptions,
  hasRecord,
  type ImageStore,
  type Membership,
  parseDocument,
  readSignatureTag,
  readTagContent,
  recordPlace,
  RecentMap,
  type Reference,
  tagEtag,
} from '@s3lo/core'
import { FreshFlight } from '@s3lo/core/plugin'

/** A manifest as it is answered. */
export interface ServedManifest {
  readonly content: Uint8Array
  readonly digest: string
  readonly mediaType: string
}

interface Remembered {
  /** Of the tag; of no use for a digest. */
  readonly etag: string
  readonly manifest: ServedManifest
}

/** Of manifests that are kept in memory (bytes). */
const MAX_REMEMBERED = 32 * 1024 * 1024
/** What an entry takes beside its content, at most. */
const ENTRY_BYTES = 1024

/**
 * Reads the manifests of a store. What a tag names is looked up for every request; memory only saves
 * its content, which the store's etag says to be the same.
 */
export class ManifestReader {
  readonly #store: ImageStore
  readonly #membership: Membership
  readonly #looks = new FreshFlight<ServedManifest | undefined>()
  /** By name and tag or digest. */
  readonly #remembered = new RecentMap<string, Remembered>(
    MAX_REMEMBERED,
    ({ manifest }) => manifest.content.byteLength + ENTRY_BYTES,
  )

  constructor(store: ImageStore, membership: Membership) {
    this.#store = store
    this.#membership = membership
  }

  /**
   * `undefined` where there is none. Clients that ask at once share one look. Throws `INTEGRITY` for what
   * is no manifest.
   */
  async read(reference: Reference, { signal }: CallOptions): Promise<ServedManifest | undefined> {
    const { digest, name, tag = '' } = reference
    return digest === undefined
      ? this.#looks.run(`${name}:${tag}`, signal, (shared) =>
          this.#readTag(reference, { signal: shared }),
        )
      : this.#looks.run(`${name}@${digest}`, signal, (shared) =>
          this.#readDigest(name, digest, { signal: shared }),
        )
  }

  async #readTag(reference: Reference, options: CallOptions): Promise<ServedManifest | undefined> {
    // The tag that cosign 2 reads; the store has signatures as referrers.
    const signatures = await readSignatureTag(this.#store, reference, options)
    if (signatures) return { content: signatures.content, ...signatures.descriptor }
    const { backend } = this.#store
    const name = `${reference.name}:${reference.tag ?? ''}`
    const known = this.#remembered.get(name)
    if (known) {
      const etag = await tagEtag(backend, reference, options)
      if (etag === known.etag) return known.manifest
      this.#remembered.delete(name)
    }
    const published = await readTagContent(backend, reference, options)
    if (!published) return this.#findLegacy(reference, options)
    const manifest = served(published.content, name)
    this.#remembered.set(name, { etag: published.etag, manifest })
    return manifest
  }

  /** A record is never overwritten with anything else: it is enough that it is there. */
  async #readDigest(
    repository: string,
    digest: string,
    options: CallOptions,
  ): Promise<ServedManifest | undefined> {
    const name = `${repository}@${digest}`
    const known = this.#remembered.get(name)
    if (known) {
      const { manifest } = known
      const descriptor = { ...manifest, size: manifest.content.byteLength }
      const place = recordPlace(repository)
      if (await hasRecord(this.#store.backend, descriptor, place, options)) return manifest
      this.#remembered.delete(name)
    }
    const found = await this.#membership.findManifest(repository, digest, options)
    if (!found) return undefined
    const manifest = { content: found.content, digest, mediaType: found.descriptor.mediaType }
    this.#remembered.set(name, { etag: '', manifest })
    return manifest
  }

  async #findLegacy(
    reference: Reference,
    options: CallOptions,
  ): Promise<ServedManifest | undefined> {
    const found = await this.#store.find(reference, options)
    return found && { content: found.content, ...found.descriptor }
  }
}

function served(content: Uint8Array, name: string): ServedManifest {
  const { digest, mediaType } = parseDocument(content, name).descriptor
  return { content, digest, mediaType }
}
