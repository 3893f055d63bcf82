import { FreshFlight } from '../concurrency/fresh-flight.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { assertRepository, memberKey } from '../layout/repository-keys.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { BlobStore, type FoundBlob } from './blobs.ts'
import { Links, type RepositoryOptions } from './links.ts'
import { findManifest } from './manifests.ts'
import { RepositoryReach, type Root } from './repository-reach.ts'
import { RecentMap } from './recent-map.ts'

/** A blob that is to be another repository's as well. */
export interface MountName {
  /** `undefined`: for a client that may read every repository. */
  readonly from: string | undefined
  readonly to: string
  readonly digest: string
}

/**
 * Whose blob is it: a store keeps a blob once, for all of its repositories, and knowing its digest
 * gives nothing. It belongs to a repository when one of its tags or digest records reaches it, or
 * a client of the repository uploaded, mounted or looked for it within a day.
 */
export interface Membership {
  /**
   * The blob, where it is the repository's own; `undefined` for another one and where there is none. Those
   * who ask at once share one look.
   */
  find(repository: string, digest: string, options?: CallOptions): Promise<FoundBlob | undefined>
  /**
   * As {@link Membership.find}, for a client that may push and will not send what is there: no
   * collector deletes it for a day (12 hours at least).
   */
  claim(repository: string, digest: string, options?: CallOptions): Promise<FoundBlob | undefined>
  /**
   * The manifest of a digest, where it is the repository's own: by its record, or because one of its
   * roots reaches it. Throws `INTEGRITY` where all that should have the content is damaged.
   */
  findManifest(
    repository: string,
    digest: string,
    options?: CallOptions,
  ): Promise<ManifestDocument | undefined>
  /** Makes a blob of one repository another's own as well; `undefined` where it is not the first one's. */
  mount(blob: MountName, options?: CallOptions): Promise<FoundBlob | undefined>
  /**
   * Takes a blob from a repository; false where it is not its own. Throws `CONFLICT` while a manifest
   * of the repository needs it: `details.digest` is that of its root.
   */
  unlink(repository: string, digest: string, options?: CallOptions): Promise<boolean>
}

/** The membership of blobs in the repositories of a store. */
export function openMembership(
  backend: StorageBackend,
  options: RepositoryOptions = {},
): Membership {
  return new StoreMembership(backend, options)
}

/** Blobs whose root is remembered. */
const MAX_PROVEN = 10_000

class StoreMembership implements Membership {
  readonly #backend: StorageBackend
  readonly #blobs: BlobStore
  readonly #links: Links
  readonly #reach: RepositoryReach
  readonly #looks = new FreshFlight<FoundBlob | undefined>()
  /** The root that a blob of a repository was reached from, which counts while it has its etag. */
  readonly #proven = new RecentMap<string, Root>(MAX_PROVEN)

  constructor(backend: StorageBackend, options: RepositoryOptions) {
    this.#backend = backend
    this.#blobs = new BlobStore(backend)
    this.#links = new Links(backend, options)
    this.#reach = new RepositoryReach(backend)
  }

  async find(
    repository: string,
    digest: string,
    { signal }: CallOptions = {},
  ): Promise<FoundBlob | undefined> {
    assertRepository(repository)
    return this.#looks.run(`${repository}@${digest}`, signal, async (shared) => {
      const blob = await this.#blobs.find(digest, { signal: shared })
      const isOwn = blob && (await this.#belongs(repository, digest, { signal: shared }))
      return isOwn ? blob : undefined
    })
  }

  async claim(
    repository: string,
    digest: string,
    { signal }: CallOptions = {},
  ): Promise<FoundBlob | undefined> {
    const blob = await this.find(repository, digest, { signal })
    return blob && this.#keep(repository, digest, { signal })
  }

  async findManifest(
    repository: string,
    digest: string,
    { signal }: CallOptions = {},
  ): Promise<ManifestDocument | undefined> {
    assertRepository(repository)
    return findManifest(this.#backend, this.#reach, { repository, digest }, { signal })
  }

  async mount(
    { from, to, digest }: MountName,
    { signal }: CallOptions = {},
  ): Promise<FoundBlob | undefined> {
    const blob = await (from === undefined
      ? this.#blobs.find(digest, { signal })
      : this.find(from, digest, { signal }))
    return blob && this.#keep(to, digest, { signal })
  }

  async unlink(repository: string, digest: string, { signal }: CallOptions = {}): Promise<boolean> {
    if (!(await this.find(repository, digest, { signal }))) return false
    const root = await this.#reach.find(repository, digest, { signal })
    if (root) {
      throw new S3loError('CONFLICT', `${digest} is needed by ${repository}@${root.digest}`, {
        hint: 'delete that manifest first',
        details: { digest: root.digest },
      })
    }
    const keys = [memberKey(repository, digest)]
    for await (const { key } of this.#links.list(repository, digest, { signal })) keys.push(key)
    const [failure] = await this.#backend.delete(keys, { signal })
    if (failure) throw failure.error
    return true
  }

  /** What was found before the link may be gone by now; what is found after it stays. */
  async #keep(
    repository: string,
    digest: string,
    options: CallOptions,
  ): Promise<FoundBlob | undefined> {
    await this.#links.renew(repository, digest, options)
    return this.#blobs.find(digest, options)
  }

  async #belongs(repository: string, digest: string, options: CallOptions): Promise<boolean> {
    const name = `${repository}@${digest}`
    const proven = this.#proven.get(name)
    if (proven) {
      const now = await this.#backend.head(proven.key, options)
      if (now?.etag === proven.etag) return true
      this.#proven.delete(name)
    }
    if (await this.#links.has(repository, digest, options)) return true
    if (await this.#backend.head(memberKey(repository, digest), options)) return true
    const root = await this.#reach.find(repository, digest, options)
    if (!root) return false
    this.#proven.set(name, root)
    await this.#noteMember(repository, digest, root, options)
    return true
  }

  /**
   * Saves other processes the walk. One that may only read answers all the same. Where the root has
   * gone meanwhile, the blob may have been taken from the repository before the member was written.
   */
  async #noteMember(
    repository: string,
    digest: string,
    { key, etag }: Root,
    { signal }: CallOptions,
  ): Promise<void> {
    const member = memberKey(repository, digest)
    try {
      await this.#backend.put(member, new Uint8Array(), { signal, size: 0 })
    } catch (error) {
      signal?.throwIfAborted()
      if (!isS3loError(error)) throw error
      return
    }
    const now = await this.#backend.head(key, { signal })
    if (now?.etag !== etag) await this.#backend.delete([member], { signal })
  }
}
