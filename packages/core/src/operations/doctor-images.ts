import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError } from '../errors.ts'
import { manifestKey } from '../layout/keys.ts'
import { matchesFilter } from '../layout/store-reference.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { ImageStore } from '../store/image-store.ts'
import { BlobUses, Contents } from './blob-uses.ts'
import { type ChunkHoldings, surveyChunks } from './doctor-chunk-garbage.ts'
import { checkChunks } from './doctor-chunks.ts'
import { collectWanted, findMissing, hashAgain, readStored, usesOf } from './doctor-content.ts'
import { checkLegacyTags } from './doctor-legacy.ts'
import type { FileIssue } from './doctor-files.ts'
import { tableIssues } from './doctor-tables.ts'
import type { EntryIssue } from './doctor-referrers.ts'
import type { BlobProblem, ManifestIssue } from './manifest-issue.ts'
import { formatTag } from '../layout/format-store.ts'
import { surveyRecords } from './record-survey.ts'
import { type GraphTag, reachable, readStoreGraph, type StoreGraph } from './store-graph.ts'
import type { UntaggedFigures } from './untagged.ts'

/** What a look at every image of a store found. */
export interface ImagesReport {
  /** Tags that were looked at. */
  readonly tags: number
  readonly issues: readonly ManifestIssue[]
  /** Every blob of the bucket. */
  readonly blobs: number
  /** Blobs and recipes that no readable manifest of a tag or record names. */
  readonly orphans: { readonly count: number; readonly bytes: number }
  /** Chunks of the bucket, of each format. */
  readonly chunks: readonly ChunkHoldings[]
  /** Whole tags (`image:tag`) with a layer in pieces whose stored stream is not the blob. */
  readonly recodedTags: readonly string[]
  /** Tags (`image:tag`) of layout v1.0.0. */
  readonly legacyTags: readonly string[]
  /** What was hashed again, when asked for. */
  readonly verified?: { readonly count: number; readonly bytes: number }
  /** What untagged images hold, and until when; absent where there is none. */
  readonly untagged?: UntaggedFigures
  /** Digest records that are damaged, and entries of referrers that are not what their records say. */
  readonly recordIssues: readonly (FileIssue | EntryIssue)[]
  /** Tables of contents of layers that are wrong. */
  readonly tableIssues: readonly FileIssue[]
  /** Manifests of any image that cannot be read: what they name counts among the orphans. */
  readonly unreadable: number
  /** When asked for content to be hashed: the layers that are what their digests say. */
  readonly layers?: readonly LayerOfTag[]
}

/** A layer, and a tag that names it. */
export interface LayerOfTag {
  readonly descriptor: Descriptor
  readonly image: string
  readonly tag: string
}

export interface CheckOptions extends CallOptions, ProgressOptions {
  /** Read and hash every blob again, not only its size. */
  readonly deep?: boolean | undefined
  /** Gets the key of each file beside the manifests of tags, of every image. */
  readonly onFile?: ((key: string) => void) | undefined
}

type Graph = StoreGraph<BlobUses>

/** How many problems of one tag are spelled out in its message. */
const SPELLED_OUT = 5

/**
 * Checks that everything that the tags below an image-name filter name is there, as long as it
 * should be and, when deep, has its digest. Orphans are counted bucket-wide.
 */
export async function checkImages(
  store: ImageStore,
  filter: string,
  { deep = false, onFile, signal, onProgress }: CheckOptions,
): Promise<ImagesReport> {
  const contents = new Contents()
  // Manifests first: what they name is then listed after it was published.
  const graph = await readStoreGraph(store, '', (manifest) => new BlobUses(manifest, contents), {
    signal,
    onFile: ({ key }) => onFile?.(key),
    // The plan of a deep look is of content.
    ...(deep ? {} : { onProgress }),
  })
  const selected = graph.tags.filter(({ image }) => matchesFilter(image, filter))
  const legacy = selected.filter(({ layout }) => layout === '1.0.0')
  const tags = selected.filter(({ layout }) => layout !== '1.0.0')
  addChildren(contents, graph)
  const records = await surveyRecords(store, graph, { filter: '', all: true, signal })
  const stored = await readStored(store, contents, records, { signal })
  const isNeeded = (layer: string): boolean =>
    contents.table.find(layer) !== undefined || records.keeps(layer)
  const chunks = await surveyChunks(store.backend, isNeeded, { signal })
  const untagged = records.figures(stored.heldBytes)
  const wanted = collectWanted(graph, tags, contents)
  await findMissing(store, wanted, contents, signal)
  const inPieces = wanted.filter((content) => isInPieces(contents, content))
  await checkChunks(store.backend, inPieces, contents, { deep, signal })
  const verified = deep
    ? await hashAgain(store, wanted, contents, { signal, onProgress })
    : undefined
  const issues: ManifestIssue[] = []
  const recodedTags: string[] = []
  for (const tag of tags) {
    const issue = judgeTag(store, graph, tag, contents)
    if (issue && (await isStillPublished(store, tag, { signal }))) issues.push(issue)
    if (!issue && isRecoded(graph, tag, contents)) recodedTags.push(nameOf(tag))
  }
  issues.push(...(await checkLegacyTags(store, legacy, { deep, signal })))
  return {
    tags: selected.length,
    issues,
    recodedTags,
    legacyTags: legacy.map(nameOf),
    blobs: stored.blobs,
    orphans: stored.orphans,
    chunks,
    ...(untagged ? { untagged } : {}),
    recordIssues: records.issues
      .filter(({ repository }) => matchesFilter(repository, filter))
      .map(({ issue }) => issue)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    tableIssues: tableIssues(contents, inPieces),
    unreadable: countUnreadable(graph),
    ...(verified ? { verified, layers: wholeLayers(graph, tags, contents) } : {}),
  }
}

function nameOf({ image, tag }: GraphTag<unknown>): string {
  return `${image}:${tag}`
}

/** True for a layer that is there in pieces only. */
function isInPieces(contents: Contents, content: number): boolean {
  return contents.chunked.has(content) && contents.size(content) === undefined
}

function isRecoded(graph: Graph, tag: GraphTag<BlobUses>, contents: Contents): boolean {
  for (const { content } of usesOf(graph, tag)) if (contents.recoded.has(content)) return true
  return false
}

/** An index names manifests as well, which are blobs and no orphans. */
function addChildren(contents: Contents, { tags, manifests }: Graph): void {
  const nodes = [...tags.map(({ root }) => root), ...manifests.values()]
  for (const node of nodes) {
    if (isS3loError(node)) continue
    for (const { digest } of node.children) contents.table.add(digest)
  }
}

function countUnreadable({ tags, manifests }: Graph): number {
  const roots = tags.filter(({ root }) => isS3loError(root)).length
  let children = 0
  for (const node of manifests.values()) children += Number(isS3loError(node))
  return roots + children
}

/** Each once. */
function wholeLayers(
  graph: Graph,
  tags: readonly GraphTag<BlobUses>[],
  contents: Contents,
): readonly LayerOfTag[] {
  const layers = new Map<number, LayerOfTag>()
  for (const tag of tags) {
    for (const { content, size, role } of usesOf(graph, tag)) {
      const isWhole = contents.size(content) === size && !contents.problemOf(content, size)
      if (role !== 'layer' || !isWhole || layers.has(content)) continue
      const digest = contents.table.digest(content)
      const descriptor = { digest, size, mediaType: MEDIA_TYPE.octetStream }
      layers.set(content, { descriptor, image: tag.image, tag: tag.tag })
    }
  }
  return [...layers.values()]
}

function judgeTag(
  store: ImageStore,
  graph: Graph,
  tag: GraphTag<BlobUses>,
  contents: Contents,
): ManifestIssue | undefined {
  const image = nameOf(tag)
  const hint = `push or copy it again, or remove it: s3lo delete ${formatTag(store.backend, tag.image, tag.tag)}`
  if (isS3loError(tag.root)) return { image, message: tag.root.message, hint }
  const blobs: BlobProblem[] = []
  const messages: string[] = []
  for (const { digest = '', platform, node } of reachable(graph, tag)) {
    const where = platform === undefined ? {} : { platform }
    if (isS3loError(node)) {
      const problem = node.code === 'NOT_FOUND' ? 'missing' : 'unreadable'
      blobs.push({ digest, size: 0, role: 'manifest', problem, ...where })
      messages.push(node.message)
      continue
    }
    for (const { content, size, role, platform: own = platform } of node.summary) {
      const problem = contents.problemOf(content, size)
      if (!problem) continue
      const found: BlobProblem = { digest: contents.table.digest(content), size, role, problem }
      blobs.push({ ...found, ...(own === undefined ? {} : { platform: own }) })
      messages.push(describe(found, own))
    }
  }
  if (blobs.length === 0) return undefined
  return { image, message: summarise(messages), hint, blobs }
}

function describe(
  { problem, role, digest, size }: BlobProblem,
  platform: string | undefined,
): string {
  const where = platform === undefined ? '' : ` of ${platform}`
  return `${problem} ${role} ${digest} (${size} bytes)${where}`
}

function summarise(messages: readonly string[]): string {
  const more = messages.length - SPELLED_OUT
  const shown = messages.slice(0, SPELLED_OUT).join('; ')
  return more > 0 ? `${shown}; and ${more} more` : shown
}

/** A tag that was deleted or overwritten meanwhile is not judged by what it was. */
async function isStillPublished(
  store: ImageStore,
  { image, tag, etag }: GraphTag<unknown>,
  options: CallOptions,
): Promise<boolean> {
  const info = await store.backend.head(manifestKey({ name: image, tag }), options)
  return info?.etag === etag
}
