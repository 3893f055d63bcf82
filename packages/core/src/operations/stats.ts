import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, type S3loError } from '../errors.ts'
import { GO_CHUNKS, OWN_CHUNKS } from '../gc/chunk-format.ts'
import { DigestSet } from '../gc/digest-set.ts'
import { nameOf } from '../gc/name-set.ts'
import { parseLegacyKey, type TagName } from '../layout/parse-key.ts'
import { type Manifest, successors } from '../oci/document.ts'
import { totalSize } from '../oci/descriptor.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import type { ImageStore } from '../store/image-store.ts'
import { readLegacyEntries } from '../store/legacy-tags.ts'
import { readLegacyFiles } from '../store/tag-files.ts'
import { LIST_PRICES, type Prices } from './prices.ts'
import { surveyRecords } from './record-survey.ts'
import { type GraphTag, reachable, readStoreGraph, type StoreGraph } from './store-graph.ts'
import { type ChunkFigures, measureChunks } from './chunk-figures.ts'
import { listStored, type StoredContent } from './stored-content.ts'
import type { UntaggedFigures } from './untagged.ts'

export interface StatsOptions extends CallOptions, ProgressOptions {
  /** Default: {@link LIST_PRICES}. */
  readonly prices?: Prices | undefined
}

/** What a month costs, in the currency of the prices; field names are those of `--output json`. */
export interface CostEstimate {
  readonly s3_monthly: number
  readonly s3_no_dedup_monthly: number
  readonly ecr_monthly: number
  readonly savings_vs_ecr: number
  /** Of what ECR would cost. */
  readonly savings_pct: number
}

/** What a store holds and costs; field names are those of `--output json`, sizes are bytes. */
export interface StatsResult {
  readonly images: number
  /** Of images; those of what refers to images are {@link referrer_tags}. */
  readonly tags: number
  /** Tags of cosign and indexes of referrers; absent where there is none. */
  readonly referrer_tags?: number
  readonly unique_blobs: number
  /** What blobs, chunks and tables of contents take, of the whole bucket. */
  readonly blob_bytes: number
  readonly chunks: number
  readonly chunk_bytes: number
  /** What layers in chunks are, and what they save, of the whole bucket; absent where there is none. */
  readonly chunked?: ChunkFigures
  /** What the tags would take if they shared nothing: configs and layers of every platform. */
  readonly logical_bytes: number
  readonly dedup_savings: number
  /** Of the logical bytes. */
  readonly dedup_percent: number
  readonly storage_by_class: Readonly<Record<string, number>>
  readonly cost: CostEstimate
  readonly prices: Prices
  /** Tags of layout v1.0.0, whose blobs are copies of their own; absent where there is none. */
  readonly legacy_tags?: number
  /** What untagged images hold, and until when: below the filter; absent where there is none. */
  readonly untagged?: UntaggedFigures
  /** Tags that count with nothing because a manifest of theirs cannot be read. */
  readonly unreadable_tags: number
}

/**
 * Counts a store in one pass: its listing, and every manifest once. `filter` (empty, or ending in
 * `/`) narrows images, tags and logical bytes; what is stored is always counted bucket-wide.
 */
export async function stats(
  store: ImageStore,
  filter = '',
  { prices = LIST_PRICES, signal, onProgress }: StatsOptions = {},
): Promise<StatsResult> {
  const tagged = new DigestSet()
  const graph = await readStoreGraph(
    store,
    filter,
    (manifest) => {
      for (const { digest } of successors(manifest)) tagged.add(nameOf(digest))
      return measure(manifest)
    },
    { signal, onProgress },
  )
  const logical = sumTags(graph, onProgress)
  const tags = graph.tags.filter(({ tag }) => !isReferrerTag(tag))
  const referring = graph.tags.length - tags.length
  const legacy = graph.tags.filter(({ layout }) => layout === '1.0.0')
  // The graph has them all unless it was narrowed.
  const all = filter === '' ? legacy : readLegacyEntries(store.backend, '', { signal })
  const records = await surveyRecords(store, graph, { filter, signal })
  const isHeld = (digest: string): boolean => records.holds(digest) && !tagged.has(nameOf(digest))
  const stored = await measureStored(store.backend, all, isHeld, { signal })
  const chunked = await measureChunks(store.backend, stored, { signal })
  const untagged = records.figures(stored.heldBytes)
  const savings = Math.max(0, logical.bytes - stored.bytes)
  return {
    images: new Set(tags.map(({ image }) => image)).size,
    tags: tags.length,
    ...(referring > 0 ? { referrer_tags: referring } : {}),
    unique_blobs: stored.blobs,
    blob_bytes: stored.bytes,
    chunks: stored.chunks,
    chunk_bytes: stored.chunkBytes,
    ...(chunked ? { chunked } : {}),
    logical_bytes: logical.bytes,
    dedup_savings: savings,
    dedup_percent: percent(savings, logical.bytes),
    storage_by_class: Object.fromEntries(stored.byClass),
    cost: estimate(logical, stored.byClass, prices),
    prices,
    ...(legacy.length > 0 ? { legacy_tags: legacy.length } : {}),
    ...(untagged ? { untagged } : {}),
    unreadable_tags: logical.unreadable,
  }
}

/** Bytes of one manifest's content. */
interface Measure {
  readonly bytes: number
  /** Of them, layers that are not compressed. */
  readonly plainBytes: number
}

function measure(manifest: Manifest): Measure {
  if (manifest.kind === 'index') {
    const others = manifest.manifests.filter(({ mediaType }) => !isManifestMediaType(mediaType))
    return { bytes: totalSize(others), plainBytes: 0 }
  }
  if (manifest.kind === 'artifact') return { bytes: totalSize(manifest.blobs), plainBytes: 0 }
  const { config, layers } = manifest
  const plain = layers.filter(({ mediaType }) => mediaType.endsWith('.tar'))
  return { bytes: config.size + totalSize(layers), plainBytes: totalSize(plain) }
}

interface Logical extends Measure {
  readonly unreadable: number
}

function sumTags(graph: StoreGraph<Measure>, onProgress: ProgressOptions['onProgress']): Logical {
  let bytes = 0
  let plainBytes = 0
  let unreadable = 0
  for (const tag of graph.tags) {
    const sum = sumTag(graph, tag)
    if (isS3loError(sum)) {
      unreadable++
      const message = `${tag.image}:${tag.tag} is not counted: ${sum.message}`
      onProgress?.({ type: 'notice', code: 'tag-unreadable', message })
    } else {
      bytes += sum.bytes
      plainBytes += sum.plainBytes
    }
  }
  return { bytes, plainBytes, unreadable }
}

function sumTag(graph: StoreGraph<Measure>, tag: GraphTag<Measure>): Measure | S3loError {
  let bytes = 0
  let plainBytes = 0
  for (const { node } of reachable(graph, tag)) {
    if (isS3loError(node)) return node
    bytes += node.summary.bytes
    plainBytes += node.summary.plainBytes
  }
  return { bytes, plainBytes }
}

interface Stored {
  readonly blobs: number
  readonly chunks: number
  readonly chunkBytes: number
  readonly tables: number
  readonly tableBytes: number
  /** Of what untagged images alone need. */
  readonly heldBytes: number
  /** Of all. */
  readonly bytes: number
  readonly byClass: ReadonlyMap<string, number>
}

async function measureStored(
  backend: StorageBackend,
  legacy: Iterable<TagName> | AsyncIterable<TagName>,
  isHeld: (digest: string) => boolean,
  options: CallOptions,
): Promise<Stored> {
  const byClass = new Map<string, number>()
  let heldBytes = 0
  async function sum(
    objects: AsyncIterable<Partial<StoredContent> & Pick<StoredContent, 'info'>>,
  ): Promise<readonly [number, number]> {
    let count = 0
    let bytes = 0
    for await (const { digest, info } of objects) {
      if (digest !== undefined && isHeld(digest)) heldBytes += info.size
      const { size, storageClass = 'STANDARD' } = info
      count++
      bytes += size
      // As S3 lists it: what has no class is of the standard one.
      byClass.set(storageClass, (byClass.get(storageClass) ?? 0) + size)
    }
    return [count, bytes]
  }
  const [blobs, blobBytes] = await sum(listStored(backend, 'blobs', options))
  const [copies, copyBytes] = await sum(listLegacyBlobs(backend, legacy, options))
  const [chunks, chunkBytes] = await sum(listChunks(backend, options))
  const [tables, tableBytes] = await sum(listStored(backend, 'tables', options))
  const bytes = blobBytes + copyBytes + chunkBytes + tableBytes
  return {
    blobs: blobs + copies,
    chunks,
    chunkBytes,
    tables,
    tableBytes,
    heldBytes,
    bytes,
    byClass,
  }
}

/** Of both formats. */
async function* listChunks(
  backend: StorageBackend,
  options: CallOptions,
): AsyncGenerator<Pick<StoredContent, 'info'>, void> {
  for (const { chunksPrefix, toChunk } of [OWN_CHUNKS, GO_CHUNKS]) {
    for await (const info of backend.list(chunksPrefix, options)) if (toChunk(info)) yield { info }
  }
}

/** The blobs of tags of layout v1.0.0, each tag's own. */
async function* listLegacyBlobs(
  backend: StorageBackend,
  tags: Iterable<TagName> | AsyncIterable<TagName>,
  options: CallOptions,
): AsyncGenerator<Pick<StoredContent, 'info'>, void> {
  for await (const { image, tag } of tags) {
    const files = await readLegacyFiles(backend, { name: image, tag }, options)
    for (const info of files?.others ?? []) {
      if (parseLegacyKey(info.key)?.kind === 'blob') yield { info }
    }
  }
}

function estimate(
  logical: Measure,
  byClass: ReadonlyMap<string, number>,
  prices: Prices,
): CostEstimate {
  const { s3_gib_month: standard, by_class: classes = {} } = prices
  let monthly = 0
  for (const [name, bytes] of byClass) {
    const price = Object.hasOwn(classes, name) ? classes[name] : undefined
    monthly += toGib(bytes) * (price ?? standard)
  }
  // ECR stores layers compressed: only those that are not so already become smaller there.
  const inEcr = logical.bytes - logical.plainBytes + logical.plainBytes / prices.ecr_compression
  const ecr = toGib(inEcr) * prices.ecr_gib_month
  return {
    s3_monthly: monthly,
    s3_no_dedup_monthly: toGib(logical.bytes) * standard,
    ecr_monthly: ecr,
    savings_vs_ecr: ecr - monthly,
    savings_pct: percent(ecr - monthly, ecr),
  }
}

function toGib(bytes: number): number {
  return bytes / 2 ** 30
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100
}
