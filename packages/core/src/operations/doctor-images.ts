import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError } from '../errors.ts'
import { blobKey, manifestKey } from '../layout/keys.ts'
import { matchesFilter } from '../layout/store-reference.ts'
import { type Descriptor, isForeignLayer } from '../oci/descriptor.ts'
import { Digester, parseDigest } from '../oci/digest.ts'
import type { Manifest } from '../oci/document.ts'
import { isManifestMediaType, MEDIA_TYPE } from '../oci/media-type.ts'
import { formatPlatform } from '../oci/platform.ts'
import type { ImageStore } from '../store/image-store.ts'
import { formatTag } from '../layout/format-store.ts'
import { type GraphTag, reachable, readStoreGraph, type StoreGraph } from './store-graph.ts'
import { listStored } from './stored-content.ts'

/** Content of an image that is not there or not what it should be. */
export interface BlobProblem {
  readonly digest: string
  /** Bytes, as the manifest says. */
  readonly size: number
  readonly role: 'config' | 'layer' | 'blob' | 'manifest'
  readonly problem: 'missing' | 'damaged' | 'unreadable'
  /** `os/arch[/variant]`, or `(attestation)`; absent for a single image. */
  readonly platform?: string
}

/** What is wrong with one tag; field names are those of `--output json`. */
export interface ManifestIssue {
  /** `image:tag` */
  readonly image: string
  readonly message: string
  readonly hint: string
  readonly blobs?: readonly BlobProblem[]
}

/** What a look at every image of a store found. */
export interface ImagesReport {
  /** Tags that were looked at. */
  readonly tags: number
  readonly issues: readonly ManifestIssue[]
  /** Every blob of the bucket. */
  readonly blobs: number
  /** Blobs and recipes that no readable manifest names. */
  readonly orphans: { readonly count: number; readonly bytes: number }
  /** Layers in pieces, whose chunks are not looked at. */
  readonly chunked: number
  /** What was hashed again, when asked for. */
  readonly verified?: { readonly count: number; readonly bytes: number }
  /** Manifests of any image that cannot be read: what they name counts among the orphans. */
  readonly unreadable: number
}

export interface CheckOptions extends CallOptions, ProgressOptions {
  /** Read and hash every blob again, not only its size. */
  readonly deep?: boolean | undefined
}

/** Content that a manifest names. */
interface BlobUse extends Pick<Descriptor, 'digest' | 'size'> {
  readonly role: 'config' | 'layer' | 'blob'
  readonly platform?: string
}

type Graph = StoreGraph<readonly BlobUse[]>

const REQUESTS_AT_ONCE = 20
const HASHES_AT_ONCE = 4

/** How many problems of one tag are spelled out in its message. */
const SPELLED_OUT = 5

/**
 * Checks that everything that the tags below an image-name filter name is there, as long as it
 * should be and, when deep, has its digest. Orphans are counted bucket-wide.
 */
export async function checkImages(
  store: ImageStore,
  filter: string,
  { deep = false, signal, onProgress }: CheckOptions,
): Promise<ImagesReport> {
  // Manifests first: what they name is then listed after it was published.
  const graph = await readStoreGraph(store, '', usesOf, { signal })
  const tags = graph.tags.filter(({ image }) => matchesFilter(image, filter))
  const stored = await readStored(store, referenced(graph), { signal })
  const wanted = collectUses(graph, tags)
  const problems = await findMissing(store, wanted, stored, signal)
  const verified = deep
    ? await hashAgain(store, wanted, stored, problems, { signal, onProgress })
    : undefined
  const issues: ManifestIssue[] = []
  for (const tag of tags) {
    const issue = judgeTag(store, graph, tag, stored, problems)
    if (issue && (await isStillPublished(store, tag, { signal }))) issues.push(issue)
  }
  return {
    tags: tags.length,
    issues,
    blobs: stored.blobs,
    orphans: stored.orphans,
    chunked: stored.chunked,
    unreadable: countUnreadable(graph),
    ...(verified ? { verified } : {}),
  }
}

function usesOf(manifest: Manifest): readonly BlobUse[] {
  const use = ({ digest, size, platform }: Descriptor, role: BlobUse['role']): BlobUse => ({
    digest,
    size,
    role,
    ...(platform ? { platform: formatPlatform(platform) } : {}),
  })
  return manifest.kind === 'index'
    ? manifest.manifests
        .filter(({ mediaType }) => !isManifestMediaType(mediaType))
        .map((entry) => use(entry, 'blob'))
    : [
        use(manifest.config, 'config'),
        ...manifest.layers
          .filter((layer) => !isForeignLayer(layer))
          .map((layer) => use(layer, 'layer')),
      ]
}

/** What is stored under a digest that some manifest names: nothing, until the listing says so. */
interface Content {
  /** Bytes of the blob. */
  size?: number
  chunked?: boolean
}

/** Every digest that a manifest of the whole bucket names. */
function referenced(graph: Graph): ReadonlyMap<string, Content> {
  const contents = new Map<string, Content>()
  for (const { root } of graph.tags) addReferenced(contents, root)
  for (const node of graph.manifests.values()) addReferenced(contents, node)
  return contents
}

function addReferenced(contents: Map<string, Content>, node: Graph['tags'][number]['root']): void {
  if (isS3loError(node)) return
  for (const { digest } of node.summary) contents.set(digest, {})
  for (const { digest } of node.children) contents.set(digest, {})
}

function countUnreadable({ tags, manifests }: Graph): number {
  const roots = tags.filter(({ root }) => isS3loError(root)).length
  let children = 0
  for (const node of manifests.values()) children += Number(isS3loError(node))
  return roots + children
}

/** What a listing found, of the digests that matter. */
interface Stored {
  readonly blobs: number
  readonly contents: ReadonlyMap<string, Content>
  /** Layers in pieces. */
  readonly chunked: number
  readonly orphans: { readonly count: number; readonly bytes: number }
}

async function readStored(
  store: ImageStore,
  contents: ReadonlyMap<string, Content>,
  options: CallOptions,
): Promise<Stored> {
  const orphans = { count: 0, bytes: 0 }
  let blobs = 0
  let chunked = 0
  for (const kind of ['blobs', 'recipes'] as const) {
    for await (const { digest, info } of listStored(store.backend, kind, options)) {
      if (kind === 'blobs') blobs++
      const content = contents.get(digest)
      if (!content) {
        orphans.count++
        orphans.bytes += info.size
      } else if (kind === 'blobs') content.size = info.size
      else {
        content.chunked = true
        chunked++
      }
    }
  }
  return { blobs, contents, chunked, orphans }
}

/** What the tags name, each digest once. */
function collectUses(
  graph: Graph,
  tags: readonly GraphTag<readonly BlobUse[]>[],
): ReadonlyMap<string, BlobUse> {
  const uses = new Map<string, BlobUse>()
  for (const tag of tags) {
    for (const { node } of reachable(graph, tag)) {
      if (isS3loError(node)) continue
      for (const use of node.summary) if (!uses.has(use.digest)) uses.set(use.digest, use)
    }
  }
  return uses
}

type Problems = Map<string, BlobProblem['problem']>

/** Asks again for each blob that the listing did not show: it may have come in between. */
async function findMissing(
  store: ImageStore,
  uses: ReadonlyMap<string, BlobUse>,
  { contents }: Stored,
  outer: AbortSignal | undefined,
): Promise<Problems> {
  const problems: Problems = new Map()
  const suspects = [...uses.keys()].filter((digest) => {
    const { size, chunked = false } = contents.get(digest) ?? {}
    return size === undefined && !chunked
  })
  await forEachConcurrent(
    suspects,
    REQUESTS_AT_ONCE,
    async (digest, signal) => {
      const form = await store.blobs.form(digest, { signal })
      if (form === undefined) problems.set(digest, 'missing')
    },
    outer,
  )
  return problems
}

async function hashAgain(
  store: ImageStore,
  uses: ReadonlyMap<string, BlobUse>,
  { contents }: Stored,
  problems: Problems,
  { signal: outer, onProgress }: CallOptions & ProgressOptions,
): Promise<{ readonly count: number; readonly bytes: number }> {
  const blobs = [...uses.values()].filter(({ digest, size }) => contents.get(digest)?.size === size)
  const total = blobs.reduce((sum, { size }) => sum + size, 0)
  onProgress?.({ type: 'plan', blobs: blobs.length, bytes: total })
  await forEachConcurrent(
    blobs,
    HASHES_AT_ONCE,
    async (use, signal) => {
      const { digest, size, platform = 'single' } = use
      const descriptor = { digest, size, mediaType: MEDIA_TYPE.octetStream }
      onProgress?.({ type: 'blob', phase: 'start', descriptor, platform })
      const problem = await hashBlob(store, descriptor, { signal, onProgress })
      if (problem) problems.set(digest, problem)
      onProgress?.({ type: 'blob', phase: 'done', descriptor, platform })
    },
    outer,
  )
  return { count: blobs.length, bytes: total }
}

/** What is wrong with a blob's bytes, or `undefined`. */
async function hashBlob(
  store: ImageStore,
  descriptor: Descriptor,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<BlobProblem['problem'] | undefined> {
  try {
    // Not through a verifying stream: two streams for each of many small blobs are too many.
    const { body } = await store.backend.get(blobKey(descriptor.digest), { signal })
    const digester = new Digester(parseDigest(descriptor.digest).algorithm)
    let received = 0
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      digester.update(chunk)
      received += chunk.byteLength
      onProgress?.({ type: 'bytes', descriptor, delta: chunk.byteLength })
    }
    const whole = received === descriptor.size && digester.digest() === descriptor.digest
    return whole ? undefined : 'damaged'
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return 'damaged'
    if (isS3loError(error, 'NOT_FOUND')) return 'missing'
    if (isS3loError(error, 'FORBIDDEN')) return 'unreadable'
    throw error
  }
}

function judgeTag(
  store: ImageStore,
  graph: Graph,
  tag: GraphTag<readonly BlobUse[]>,
  stored: Stored,
  problems: Problems,
): ManifestIssue | undefined {
  const image = `${tag.image}:${tag.tag}`
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
    for (const use of node.summary) {
      const problem = problems.get(use.digest) ?? tornProblem(stored, use)
      if (!problem) continue
      const { digest: blob, size, role, platform: own } = use
      blobs.push({ digest: blob, size, role, problem, ...(own ? { platform: own } : where) })
      messages.push(describe(use, problem, own ?? platform))
    }
  }
  if (blobs.length === 0) return undefined
  return { image, message: summarise(messages), hint, blobs }
}

function tornProblem({ contents }: Stored, { digest, size }: BlobUse): 'damaged' | undefined {
  const actual = contents.get(digest)?.size
  return actual === undefined || actual === size ? undefined : 'damaged'
}

function describe(
  { digest, size, role }: BlobUse,
  problem: string,
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
