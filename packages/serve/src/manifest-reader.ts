import {
  type CallOptions,
  type ImageStore,
  type Membership,
  parseDocument,
  readTagContent,
  type Reference,
  tagEtag,
} from '@s3lo/core'

/** A manifest as it is answered. */
export interface ServedManifest {
  readonly content: Uint8Array
  readonly digest: string
  readonly mediaType: string
}

interface Remembered {
  readonly etag: string
  readonly manifest: ServedManifest
}

/** Of manifests that are kept in memory (bytes). */
const MAX_REMEMBERED = 32 * 1024 * 1024

/**
 * Reads the manifests of a store. What a tag names is looked up for every request; memory only saves
 * its content, which the store's etag says to be the same.
 */
export class ManifestReader {
  readonly #store: ImageStore
  readonly #membership: Membership
  /** By name and tag, the least recently used first. */
  readonly #remembered = new Map<string, Remembered>()
  #bytes = 0

  constructor(store: ImageStore, membership: Membership) {
    this.#store = store
    this.#membership = membership
  }

  /** `undefined` where there is none. Throws `INTEGRITY` for what is no manifest. */
  async read(reference: Reference, options: CallOptions): Promise<ServedManifest | undefined> {
    const { digest, name } = reference
    if (digest === undefined) return this.#readTag(reference, options)
    const found = await this.#membership.findManifest(name, digest, options)
    return found && { content: found.content, ...found.descriptor }
  }

  async #readTag(reference: Reference, options: CallOptions): Promise<ServedManifest | undefined> {
    const { backend } = this.#store
    const name = `${reference.name}:${reference.tag ?? ''}`
    const known = this.#remembered.get(name)
    if (known) {
      const etag = await tagEtag(backend, reference, options)
      if (etag === known.etag) {
        this.#remember(name, known)
        return known.manifest
      }
      this.#forget(name)
    }
    const published = await readTagContent(backend, reference, options)
    if (!published) return this.#findLegacy(reference, options)
    const manifest = served(published.content, name)
    this.#remember(name, { etag: published.etag, manifest })
    return manifest
  }

  async #findLegacy(
    reference: Reference,
    options: CallOptions,
  ): Promise<ServedManifest | undefined> {
    const found = await this.#store.find(reference, options)
    return found && { content: found.content, ...found.descriptor }
  }

  #remember(name: string, entry: Remembered): void {
    this.#forget(name)
    this.#remembered.set(name, entry)
    this.#bytes += entry.manifest.content.byteLength
    for (const oldest of this.#remembered.keys()) {
      if (this.#bytes <= MAX_REMEMBERED) return
      this.#forget(oldest)
    }
  }

  #forget(name: string): void {
    const entry = this.#remembered.get(name)
    if (!entry) return
    this.#remembered.delete(name)
    this.#bytes -= entry.manifest.content.byteLength
  }
}

function served(content: Uint8Array, name: string): ServedManifest {
  const { digest, mediaType } = parseDocument(content, name).descriptor
  return { content, digest, mediaType }
}
