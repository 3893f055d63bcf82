import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import type { Manifest } from '../oci/document.ts'
import { formatPlatform, isAttestationPlatform } from '../oci/platform.ts'
import type { ImageStore } from '../store/image-store.ts'
import { type GraphTag, reachable, readStoreGraph, type StoreGraph } from './store-graph.ts'

/** A layer and the tags that use it. */
export interface SharedLayer {
  /** Hex only, without the algorithm. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  /** `image:tag`, sorted. */
  readonly tags: readonly string[]
}

/** How tags share layers; field names are those of `--output json`, sizes are bytes. */
export interface LayerSharingResult {
  readonly tags: readonly string[]
  /** The most shared first, then the largest, then by digest. */
  readonly layers: readonly SharedLayer[]
  /** Each layer once. */
  readonly stored_bytes: number
  /** Each layer once for every tag that uses it. */
  readonly logical_bytes: number
  /** What sharing saves, of the logical bytes. */
  readonly saved_percent: number
  readonly unreadable_tags: number
}

/**
 * Which tags below an image-name filter (empty, or ending in `/`) share which layers. A layer that
 * several platforms of one tag have counts once; layers of attestations do not count, nor do tags of
 * layout v1.0.0, which share nothing.
 */
export async function layerSharing(
  store: ImageStore,
  filter = '',
  { signal, onProgress }: CallOptions & ProgressOptions = {},
): Promise<LayerSharingResult> {
  const graph = await readStoreGraph(store, filter, layersOf, {
    signal,
    onProgress,
    follow: ({ platform }) => !platform || !isAttestationPlatform(formatPlatform(platform)),
  })
  const uses = new Map<string, Use>()
  let unreadable = 0
  for (const tag of graph.tags) {
    // Layout v1.0.0 keeps a copy of each layer for every tag.
    if (tag.layout === '1.0.0') continue
    const layers = layersOfTag(graph, tag)
    if (isS3loError(layers)) {
      unreadable++
      const message = `${tag.image}:${tag.tag} is not counted: ${layers.message}`
      onProgress?.({ type: 'notice', code: 'tag-unreadable', message })
      continue
    }
    for (const [digest, size] of layers) {
      const use = uses.get(digest)
      if (use) use.tags.push(`${tag.image}:${tag.tag}`)
      else uses.set(digest, { size, tags: [`${tag.image}:${tag.tag}`] })
    }
  }
  const sharing = graph.tags.filter(({ layout }) => layout !== '1.0.0')
  return toResult(sharing, uses, unreadable)
}

interface Use {
  readonly size: number
  readonly tags: string[]
}

type Layer = readonly [digest: string, size: number]

function layersOf(manifest: Manifest): readonly Layer[] {
  return manifest.kind === 'manifest'
    ? manifest.layers.map(({ digest, size }) => [digest, size] as const)
    : []
}

function layersOfTag(
  graph: StoreGraph<readonly Layer[]>,
  tag: GraphTag<readonly Layer[]>,
): ReadonlyMap<string, number> | S3loError {
  const layers = new Map<string, number>()
  for (const { node } of reachable(graph, tag)) {
    if (isS3loError(node)) return node
    for (const [digest, size] of node.summary) layers.set(digest, size)
  }
  return layers
}

function toResult(
  tags: readonly GraphTag<unknown>[],
  uses: ReadonlyMap<string, Use>,
  unreadable: number,
): LayerSharingResult {
  let stored = 0
  let logical = 0
  const layers: SharedLayer[] = []
  for (const [digest, use] of uses) {
    stored += use.size
    logical += use.size * use.tags.length
    const hex = digest.slice(digest.indexOf(':') + 1)
    layers.push({ digest: hex, size: use.size, tags: use.tags.toSorted() })
  }
  return {
    tags: tags.map(({ image, tag }) => `${image}:${tag}`).toSorted(),
    layers: layers.toSorted(byUse),
    stored_bytes: stored,
    logical_bytes: logical,
    saved_percent: logical === 0 ? 0 : ((logical - stored) / logical) * 100,
    unreadable_tags: unreadable,
  }
}

function byUse(a: SharedLayer, b: SharedLayer): number {
  return (
    b.tags.length - a.tags.length ||
    b.size - a.size ||
    (a.digest < b.digest ? -1 : Number(a.digest > b.digest))
  )
}
