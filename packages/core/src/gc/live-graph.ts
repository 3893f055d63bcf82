import type { StorageBackend } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { blobKey, referrerBlobKey } from '../layout/keys.ts'
import { recordKey } from '../layout/repository-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { digestOf, hexDigestOf, parseDigest } from '../oci/digest.ts'
import {
  assertDepth,
  type Manifest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  successors,
} from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { isImageFault, orImageFault } from '../store/image-fault.ts'
import { readObject } from '../store/read-object.ts'
import { DigestSet } from './digest-set.ts'
import { nameOf } from './name-set.ts'

/** Where a walk is. */
interface Walk {
  readonly repository: string
  /** Below the root; the root has 0. */
  readonly depth: number
  /** Below a record: a child that is gone is left out, in place of `NOT_FOUND`. */
  readonly isRecord: boolean
  readonly signal: AbortSignal
}

/**
 * The names that live roots need, and which manifests they reach in which repository. Names are
 * only ever added; each takes 32 to 64 bytes, and twice that where only records need it.
 */
export class LiveGraph {
  readonly #backend: StorageBackend
  /** Configs, layers, child manifests and blobs of referrers. */
  readonly #names = new DigestSet()
  /** Those of them that no tag needed when they were found. */
  readonly #held = new DigestSet()
  /** Manifests whose needs are all among the names. */
  readonly #whole = new DigestSet()
  /** Those of them that are indexes, and those that refer to another manifest. */
  readonly #indexes = new DigestSet()
  readonly #referrers = new DigestSet()
  /** Manifests by repository: what a tag names, and what an index does that is a root. */
  readonly #reached = new DigestSet()

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /** Grows with all that is found. */
  get size(): number {
    return this.#names.size + this.#whole.size + this.#reached.size
  }

  needs(name: string): boolean {
    return this.#names.has(name)
  }

  /** True for what only records need. */
  isHeld(name: string): boolean {
    return this.#held.has(name)
  }

  /** True for a manifest whose needs are all known. */
  hasManifest(name: string): boolean {
    return this.#whole.has(name)
  }

  /** True for a manifest that is live and refers to another. */
  isReferrer(name: string): boolean {
    return this.#referrers.has(name)
  }

  /** True when a tag of the repository, or an index that is a root of it, names the manifest. */
  isReachedIn(repository: string, name: string): boolean {
    return this.#reached.has(within(repository, name))
  }

  /** True when a root of the repository that is this manifest would add nothing. */
  isKnownIn(repository: string, name: string): boolean {
    if (!this.#whole.has(name)) return false
    return !this.#indexes.has(name) || this.isReachedIn(repository, name)
  }

  /** Adds the manifest of a tag. Throws what is wrong with it or with a child. */
  async addTag(
    repository: string,
    content: Uint8Array,
    label: string,
    signal: AbortSignal,
  ): Promise<void> {
    const walk = { repository, depth: 0, isRecord: false, signal }
    const name = hexDigestOf(content)
    await this.#add(parseManifest(content, label), name, walk)
    this.#reached.add(within(repository, name))
  }

  /**
   * Adds the manifest of a record, and the record's own blob. A child that is gone is left out: an
   * image that cannot be pulled any more must not keep all others from being collected.
   */
  async addRecord(
    repository: string,
    content: Uint8Array,
    digest: string,
    signal: AbortSignal,
  ): Promise<void> {
    const walk = { repository, depth: 0, isRecord: true, signal }
    const name = nameOf(digest)
    this.#need(name, walk)
    await this.#add(parseManifest(content, digest), name, walk)
    const names = namesOf(content)
    if (!names.some((each) => this.isReachedIn(repository, each))) return
    for (const each of names) this.#reached.add(within(repository, each))
  }

  /** Adds a tag of layout v1.0.0: what it needs is in its own folder, which no collector touches. */
  async addLegacyTag(repository: string, content: Uint8Array, label: string): Promise<void> {
    const root = hexDigestOf(content)
    this.#names.add(root)
    this.#reached.add(within(repository, root))
    const manifest = await orImageFault(() => Promise.resolve(parseManifest(content, label)))
    if (manifest instanceof S3loError) return
    for (const { digest, mediaType } of successors(manifest)) {
      const name = nameOf(digest)
      this.#names.add(name)
      if (isManifestMediaType(mediaType)) this.#reached.add(within(repository, name))
    }
  }

  #need(name: string, { isRecord }: Walk): void {
    if (this.#names.add(name) && isRecord) this.#held.add(name)
  }

  /** Adds what a manifest needs, then the manifest; one that misses a child is not whole. */
  async #add(manifest: Manifest, name: string, walk: Walk): Promise<boolean> {
    assertDepth(walk.depth)
    for (const { digest } of successors(manifest)) this.#need(nameOf(digest), walk)
    if (manifest.subject) this.#referrers.add(name)
    let isWhole = true
    if (manifest.kind === 'index') {
      const below = { ...walk, depth: walk.depth + 1 }
      for (const entry of manifest.manifests)
        isWhole = (await this.#addChild(entry, below)) && isWhole
      this.#indexes.add(name)
    }
    if (isWhole) this.#whole.add(name)
    return isWhole
  }

  async #addChild(entry: Descriptor, walk: Walk): Promise<boolean> {
    const { repository } = walk
    const name = nameOf(entry.digest)
    let isWhole = true
    if (!this.isKnownIn(repository, name)) {
      const isManifest = isManifestMediaType(entry.mediaType)
      if (!isManifest && entry.size > MAX_MANIFEST_BYTES) return true
      const child = await this.#readChild(entry.digest, isManifest, walk)
      if (child === 'missing') return false
      if (!child) return true
      isWhole = await this.#add(child, name, walk)
    }
    // Not before all below it: what is known in a repository is not walked again.
    this.#reached.add(within(repository, name))
    return isWhole
  }

  /** Anything else that an index names is taken as a manifest when it can be, else as a leaf. */
  async #readChild(
    digest: string,
    isManifest: boolean,
    { repository, isRecord, signal }: Walk,
  ): Promise<Manifest | 'missing' | undefined> {
    try {
      const content = await this.#readBlob(digest, repository, signal)
      if (!content && isManifest && isRecord) return 'missing'
      if (!content) throw new S3loError('NOT_FOUND', `manifest ${digest} is missing`)
      assertDigest(content, digest)
      return parseManifest(content, digest)
    } catch (error) {
      if (!isManifest && isImageFault(error)) return undefined
      throw error
    }
  }

  /** A child of a tag's index, or of an index that refers to something. */
  async #readBlob(
    digest: string,
    repository: string,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    for (const key of [blobKey(digest), referrerBlobKey(digest), recordKey(repository, digest)]) {
      const content = await readObject(this.#backend, key, MAX_MANIFEST_BYTES, { signal })
      if (content) return content
    }
    return undefined
  }
}

/** The names of content under both algorithms. */
export function namesOf(content: Uint8Array): readonly [string, string] {
  return [hexDigestOf(content), hexDigestOf(content, 'sha512')]
}

/** One name for a manifest in a repository. */
export function within(repository: string, name: string): string {
  return hexDigestOf(`${repository}\0${name.slice(0, 64)}`)
}

/** Throws `INTEGRITY` for content that does not have the digest. */
export function assertDigest(content: Uint8Array, digest: string): void {
  const actual = digestOf(content, parseDigest(digest).algorithm)
  if (actual !== digest) throw new S3loError('INTEGRITY', `expected ${digest}, got ${actual}`)
}
