import { FreshFlight } from '../concurrency/fresh-flight.ts'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { blobKey, referrerBlobKey } from '../layout/keys.ts'
import { parseRepositoryKey, recordKey } from '../layout/repository-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { algorithmOf, Digester, digestOf } from '../oci/digest.ts'
import {
  type Manifest,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseDocument,
  parseManifest,
  successors,
} from '../oci/document.ts'
import { orImageFault } from './image-fault.ts'
import { type ObjectVersion, readVersion } from './read-object.ts'
import { listRecords } from './records.ts'
import { RecentMap } from './recent-map.ts'
import { readImageTags } from './tags.ts'
import { MAX_GRAPH_BYTES, type MetManifest, walkManifests } from './walk-manifests.ts'

/** What keeps content in a repository: a tag or a digest record. */
export interface Root {
  readonly key: string
  readonly etag: string
  /** Of its manifest. */
  readonly digest: string
}

/** A root as a listing has it. */
interface ListedRoot {
  readonly key: string
  readonly etag: string
  /** Milliseconds since 1970. */
  readonly date: number
}

const READS_AT_ONCE = 16
const CHILDREN_AT_ONCE = 4

/** Digests that are kept in memory, at about 100 bytes each. */
const MAX_REMEMBERED_DIGESTS = 200_000
const MAX_REMEMBERED_ROOTS = 50_000
/** Digests that no root of a repository reached. */
const MAX_REMEMBERED_MISSES = 10_000

/** What a root reaches. Not whole where a manifest was missing or too much: it may be there the next time. */
interface Reach {
  readonly reached: ReadonlySet<string>
  readonly isWhole: boolean
}

/** Which content a repository's roots reach. Manifests that were read once are remembered, in bounds. */
export class RepositoryReach {
  readonly #backend: StorageBackend
  /** What a manifest reaches, itself included, by its digest: true for ever. */
  readonly #reached = new RecentMap<string, ReadonlySet<string>>(
    MAX_REMEMBERED_DIGESTS,
    ({ size }) => size,
  )
  /** The digest of the manifest that a tag had under an etag. */
  readonly #digests = new RecentMap<string, string>(MAX_REMEMBERED_ROOTS)
  readonly #lists = new FreshFlight<readonly ListedRoot[]>()
  /** The roots of a repository (see {@link fingerprintOf}) of which none reached the digest. */
  readonly #misses = new RecentMap<string, string>(MAX_REMEMBERED_MISSES)

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /**
   * A root of the repository that reaches the digest, looked for from the newest on; `undefined` when
   * there is none. A root that is damaged reaches nothing. Those who ask at once for digests of one
   * repository share a listing, and a miss costs no more than that while the roots are the same.
   */
  async find(
    repository: string,
    digest: string,
    { signal }: CallOptions = {},
  ): Promise<Root | undefined> {
    const roots = await this.#lists.run(repository, signal, (shared) =>
      this.#list(repository, { signal: shared }),
    )
    const name = `${repository}@${digest}`
    const fingerprint = fingerprintOf(roots)
    if (this.#misses.get(name) === fingerprint) return undefined
    let isWhole = true
    for (let start = 0; start < roots.length; start += READS_AT_ONCE) {
      const found: Root[] = []
      await forEachConcurrent(
        roots.slice(start, start + READS_AT_ONCE),
        READS_AT_ONCE,
        async (listed, inner) => {
          const root = await this.#reachFrom(repository, listed, { signal: inner })
          if (root?.reached.has(digest)) found.push(root)
          if (root?.isWhole !== true) isWhole = false
        },
        signal,
      )
      if (found[0]) return found[0]
    }
    if (isWhole) this.#misses.set(name, fingerprint)
    return undefined
  }

  async #list(repository: string, options: CallOptions): Promise<readonly ListedRoot[]> {
    const roots: ListedRoot[] = []
    const add = ({ key, etag, lastModified }: ObjectInfo): void => {
      roots.push({ key, etag, date: lastModified.getTime() })
    }
    for await (const { info } of readImageTags(this.#backend, repository, options)) add(info)
    for await (const { info } of listRecords(this.#backend, repository, options)) add(info)
    return roots.toSorted((a, b) => b.date - a.date)
  }

  /** What a root reaches; `undefined` for one that is gone. */
  async #reachFrom(
    repository: string,
    { key, etag }: ListedRoot,
    options: CallOptions,
  ): Promise<(Root & Reach) | undefined> {
    const record = parseRepositoryKey(key)
    const isRecord = record?.kind === 'record'
    const named = isRecord ? record.digest : this.#digests.get(versionOf(key, etag))
    const known = named === undefined ? undefined : this.#reached.get(named)
    if (named !== undefined && known) {
      return { key, etag, digest: named, reached: known, isWhole: true }
    }
    const read = await readIntact(this.#backend, key, options)
    if (!read) return undefined
    const { content, info } = read
    const digest = digestOf(content, named === undefined ? 'sha256' : algorithmOf(named))
    if (isRecord && digest !== named) return undefined
    if (!isRecord) this.#digests.set(versionOf(key, info.etag), digest)
    const walked = await this.#walk(repository, digest, content, options)
    return { key, etag: info.etag, digest, ...walked }
  }

  async #walk(
    repository: string,
    digest: string,
    content: Uint8Array,
    options: CallOptions,
  ): Promise<Reach> {
    const known = this.#reached.get(digest)
    if (known) return { reached: known, isWhole: true }
    const walk = new Walk(this.#backend, repository)
    await walk.run(digest, content, options)
    const { reached, isWhole } = walk
    if (isWhole && reached.size <= MAX_REMEMBERED_DIGESTS / 10) this.#reached.set(digest, reached)
    return { reached, isWhole }
  }
}

/** The same for the same roots in the same versions, and for no others. */
function fingerprintOf(roots: readonly ListedRoot[]): string {
  const digester = new Digester()
  const encoder = new TextEncoder()
  for (const { key, etag } of roots) digester.update(encoder.encode(`${key}\0${etag}\n`))
  return digester.digest()
}

/** One walk below one root. */
class Walk {
  readonly reached = new Set<string>()
  /** False where a manifest was missing or too much: it may be there the next time. */
  isWhole = true
  readonly #backend: StorageBackend
  readonly #repository: string
  #bytes = 0

  constructor(backend: StorageBackend, repository: string) {
    this.#backend = backend
    this.#repository = repository
  }

  async run(digest: string, content: Uint8Array, { signal }: CallOptions): Promise<void> {
    this.reached.add(digest)
    const root = await orImageFault(() => Promise.resolve(parseManifest(content, digest)))
    // What is no manifest names nothing.
    if (isS3loError(root)) return
    const visit = ({ found }: MetManifest): readonly Descriptor[] => {
      if (!isS3loError(found)) return this.#take(found.manifest)
      if (found.code === 'FORBIDDEN') throw found
      if (found.code === 'NOT_FOUND') this.isWhole = false
      return []
    }
    await walkManifests(
      ({ digest: child }, inner) => this.#read(child, inner),
      this.#take(root),
      visit,
      { readsAtOnce: CHILDREN_AT_ONCE, signal },
    )
  }

  /** Notes what a manifest names. Returns what of it may be a manifest itself. */
  #take(manifest: Manifest): readonly Descriptor[] {
    const named = successors(manifest)
    for (const { digest } of named) this.reached.add(digest)
    return manifest.kind === 'index' ? named.filter(({ size }) => size <= MAX_MANIFEST_BYTES) : []
  }

  async #read(digest: string, options: CallOptions): Promise<ManifestDocument | undefined> {
    const places = [recordKey(this.#repository, digest), blobKey(digest), referrerBlobKey(digest)]
    for (const key of places) {
      if (this.#bytes > MAX_GRAPH_BYTES) break
      const content = (await readIntact(this.#backend, key, options))?.content
      this.#bytes += content?.byteLength ?? 0
      if (content && digestOf(content, algorithmOf(digest)) === digest) {
        return parseDocument(content, digest, { digest })
      }
    }
    return undefined
  }
}

/** `undefined` for an object that is missing, or larger than a manifest. */
async function readIntact(
  backend: StorageBackend,
  key: string,
  options: CallOptions,
): Promise<ObjectVersion | undefined> {
  try {
    return await readVersion(backend, key, MAX_MANIFEST_BYTES, options)
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return undefined
    throw error
  }
}

function versionOf(key: string, etag: string): string {
  return `${key}\0${etag}`
}
