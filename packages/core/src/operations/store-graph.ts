import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import { childManifests, readingFrom } from '../graph/walk.ts'
import { type MetManifest, walkManifests } from '../store/walk-manifests.ts'
import { legacyPrefix } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Manifest } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import { formatPlatform } from '../oci/platform.ts'
import { BlobReport } from '../progress/blob-report.ts'
import { orImageFault } from '../store/image-fault.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readEntryManifest } from '../store/manifests.ts'
import type { TagEntry } from '../store/tag-entry.ts'
import { readTagEntries, type ReadTagsOptions } from '../store/tags.ts'

/** What a caller keeps of each manifest: of a large store no more than that fits in memory. */
export type Summarise<T> = (manifest: Manifest) => T

/** A manifest that was read. */
interface GraphNode<T> {
  readonly summary: T
  /** The manifests that an index names, each with its platform where it has one. */
  readonly children: readonly GraphChild[]
}

interface GraphChild {
  readonly digest: string
  readonly platform?: string
}

/** A tag with its root manifest, or with why that cannot be read. */
export interface GraphTag<T> {
  readonly image: string
  readonly tag: string
  readonly layout: TagEntry['layout']
  /** Of the object that publishes it. */
  readonly etag: string
  /** Of its root; absent where that cannot be read. */
  readonly digest?: string
  readonly root: GraphNode<T> | S3loError
}

/** Every manifest of a store, each digest once. */
export interface StoreGraph<T> {
  /** Sorted by image, then by tag. */
  readonly tags: readonly GraphTag<T>[]
  /** Child manifests by digest, or why one cannot be read. */
  readonly manifests: ReadonlyMap<string, GraphNode<T> | S3loError>
}

/** A manifest below a tag, as {@link reachable} meets it. */
export interface Reached<T> {
  /** Absent for the root. */
  readonly digest?: string
  /** Of the nearest index entry that has one. */
  readonly platform?: string
  readonly node: GraphNode<T> | S3loError
}

export interface StoreGraphOptions extends ReadTagsOptions, ProgressOptions {
  /** False leaves an entry of an index out. */
  readonly follow?: ((entry: Descriptor) => boolean) | undefined
}

const READS_AT_ONCE = 20

/**
 * Reads every manifest below an image-name filter (empty, or ending in `/`) once, 20 at a time: one
 * request for each tag, and one for each child manifest however many tags share it. A manifest that
 * cannot be read becomes an error in its place; a store that cannot be read is thrown.
 */
export async function readStoreGraph<T>(
  store: ImageStore,
  filter: string,
  summarise: Summarise<T>,
  options: StoreGraphOptions = {},
): Promise<StoreGraph<T>> {
  const reader = new GraphReader(store, summarise, options)
  await reader.readTags(filter)
  await reader.readChildren()
  const tags = reader.tags.toSorted((a, b) => compare(a.image, b.image) || compare(a.tag, b.tag))
  return { tags, manifests: reader.manifests }
}

/** The manifests of a tag, its root first, each digest once. */
export function* reachable<T>(
  { manifests }: StoreGraph<T>,
  { root }: GraphTag<T>,
): Generator<Reached<T>, void> {
  const seen = new Set<string>()
  const waiting: Reached<T>[] = [{ node: root }]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    yield next
    if (isS3loError(next.node)) continue
    for (const child of next.node.children.toReversed()) {
      const node = manifests.get(child.digest)
      if (!node || seen.has(child.digest)) continue
      seen.add(child.digest)
      const platform = child.platform ?? next.platform
      waiting.push({ digest: child.digest, node, ...(platform ? { platform } : {}) })
    }
  }
}

class GraphReader<T> {
  readonly tags: GraphTag<T>[] = []
  readonly manifests = new Map<string, GraphNode<T> | S3loError>()
  readonly #store: ImageStore
  readonly #summarise: Summarise<T>
  readonly #options: StoreGraphOptions
  /** The manifests that roots name. */
  readonly #start = new Map<string, Descriptor>()

  constructor(store: ImageStore, summarise: Summarise<T>, options: StoreGraphOptions) {
    this.#store = store
    this.#summarise = summarise
    this.#options = options
  }

  async readTags(filter: string): Promise<void> {
    const { signal: outer, onFile } = this.#options
    // Listed first: the plan is of all of them.
    const entries = await Array.fromAsync(
      readTagEntries(this.#store.backend, filter, { signal: outer, onFile }),
    )
    this.#plan(entries.map(({ info }) => info.size))
    await forEachConcurrent(
      entries,
      READS_AT_ONCE,
      async (entry, signal) => this.#readTag(entry, signal),
      outer,
    )
  }

  async readChildren(): Promise<void> {
    const visit = ({ descriptor, found }: MetManifest): readonly Descriptor[] => {
      const isFault = isS3loError(found)
      this.#report(descriptor, isFault ? 'skip' : 'done')
      this.manifests.set(descriptor.digest, isFault ? found : this.#toNode(found.manifest))
      return isFault ? [] : this.#childrenOf(found.manifest)
    }
    await walkManifests(readingFrom(this.#store), this.#start.values(), visit, {
      readsAtOnce: READS_AT_ONCE,
      onLevel: (level) => this.#plan(level.map(({ size }) => size)),
      signal: this.#options.signal,
    })
  }

  async #readTag(entry: TagEntry, signal: AbortSignal): Promise<void> {
    const { image, tag, info, layout } = entry
    // What its digest is, only reading it tells.
    let read: Descriptor | undefined
    const root = await orImageFault(async () => {
      const document = await readEntryManifest(this.#store.backend, entry, { signal })
      if (!document) return undefined
      read = document.descriptor
      const { manifest } = document
      const prefix = layout === '1.0.0' ? legacyPrefix({ name: image, tag }) : undefined
      // Only children are read through the store.
      if (prefix && manifest.kind === 'index') this.#store.blobs.addLegacyPrefix(prefix)
      for (const child of this.#childrenOf(manifest)) this.#start.set(child.digest, child)
      return this.#toNode(manifest)
    })
    if (read) this.#report(read, 'done')
    else this.#report({ digest: '', size: info.size, mediaType: MEDIA_TYPE.octetStream }, 'skip')
    // Deleted while it was being listed: it is not there, and nothing is wrong with it.
    if (root) {
      const known = read ? { digest: read.digest } : {}
      this.tags.push({ image, tag, layout, etag: info.etag, ...known, root })
    }
  }

  #plan(sizes: readonly number[]): void {
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    this.#options.onProgress?.({ type: 'plan', blobs: sizes.length, bytes })
  }

  /** `skip`: it cannot be read, or is gone. */
  #report(descriptor: Descriptor, phase: 'done' | 'skip'): void {
    const platform = descriptor.platform ? formatPlatform(descriptor.platform) : 'single'
    const report = new BlobReport({ descriptor, platform }, this.#options)
    if (phase === 'done') {
      report.start()
      report.reach(descriptor.size)
    }
    report.end(phase)
  }

  #toNode(manifest: Manifest): GraphNode<T> {
    return {
      summary: this.#summarise(manifest),
      children: this.#childrenOf(manifest).map(({ digest, platform }) => ({
        digest,
        ...(platform ? { platform: formatPlatform(platform) } : {}),
      })),
    }
  }

  #childrenOf(manifest: Manifest): readonly Descriptor[] {
    const { follow } = this.#options
    return follow ? childManifests(manifest).filter(follow) : childManifests(manifest)
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
