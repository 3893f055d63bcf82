import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import { type Descriptor, isForeignLayer, totalSize } from '../oci/descriptor.ts'
import { assertDepth, type ManifestDocument, successors } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { formatPlatform } from '../oci/platform.ts'
import { isAttestation } from './index-entries.ts'
import { type ContentReader, readManifest } from './read-manifest.ts'

/** A config or layer, and the first platform that names it: `os/arch[/variant]`, or `single`. */
export interface PlannedBlob {
  readonly descriptor: Descriptor
  readonly platform: string
}

/** Everything an image consists of, each digest once. */
export interface GraphPlan {
  readonly root: ManifestDocument
  /** Child manifests, children before parents. */
  readonly documents: readonly ManifestDocument[]
  readonly blobs: readonly PlannedBlob[]
  /** Layers that stay where their URLs say: only their maker distributes them. */
  readonly foreign: readonly PlannedBlob[]
  /** Manifests in the graph that are no attestations; 1 for a single image. */
  readonly platforms: number
  /** What is said in the index about its images. */
  readonly attestations: number
  /** Configs and layers of all platforms, a shared one counted each time (bytes). */
  readonly logicalSize: number
}

/** Manifests of one image together may not exceed this (bytes): they are held while it is copied. */
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
const READS_AT_ONCE = 10

/**
 * Reads every manifest below `root` and lists what must be copied. Throws `INTEGRITY` for a graph
 * that is too deep, too large, or contradicts itself.
 */
export async function planGraph(
  source: ContentReader,
  root: ManifestDocument,
  options: CallOptions = {},
): Promise<GraphPlan> {
  const walk = new Walk(source, options.signal)
  walk.reserve(root.content.byteLength)
  await walk.visit(root, 'single', 0)
  return {
    root,
    documents: walk.levels.slice(1).toReversed().flat(),
    blobs: [...walk.blobs.values()],
    foreign: [...walk.foreign.values()],
    platforms: Math.max(1, walk.platforms),
    attestations: walk.attestations,
    logicalSize: walk.logicalSize,
  }
}

/** Configs and layers of an image, each digest once: what it takes in a store (bytes). */
export function contentSize({ blobs }: Pick<GraphPlan, 'blobs'>): number {
  return totalSize(blobs.map(({ descriptor }) => descriptor))
}

class Walk {
  readonly levels: ManifestDocument[][] = []
  readonly blobs = new Map<string, PlannedBlob>()
  readonly foreign = new Map<string, PlannedBlob>()
  platforms = 0
  attestations = 0
  logicalSize = 0
  readonly #source: ContentReader
  readonly #signal: AbortSignal | undefined
  readonly #seen = new Set<string>()
  #documentBytes = 0

  constructor(source: ContentReader, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  /** Counts a manifest that is going to be held. Throws `INTEGRITY` when there are too many. */
  reserve(bytes: number): void {
    this.#documentBytes += bytes
    if (this.#documentBytes > MAX_DOCUMENT_BYTES) {
      throw new S3loError('INTEGRITY', `the image's manifests exceed ${MAX_DOCUMENT_BYTES} bytes`)
    }
  }

  async visit(document: ManifestDocument, platform: string, depth: number): Promise<void> {
    assertDepth(depth)
    const { manifest } = document
    ;(this.levels[depth] ??= []).push(document)
    if (manifest.kind !== 'index') {
      if (isAttestation(document.descriptor)) this.attestations++
      else this.platforms++
      const content = successors(manifest)
      this.logicalSize += totalSize(content)
      for (const descriptor of content) this.#addBlob(descriptor, platform)
      return
    }
    const children = new Map<number, ManifestDocument>()
    const entries = manifest.manifests.entries()
    await forEachConcurrent(
      entries,
      READS_AT_ONCE,
      async ([i, entry], signal) => {
        if (!isManifestMediaType(entry.mediaType) || this.#seen.has(entry.digest)) return
        this.#seen.add(entry.digest)
        this.reserve(entry.size)
        children.set(i, await readManifest(this.#source, entry, { signal }))
      },
      this.#signal,
    )
    // In the index's order, so that a blob's platform is the first that names it on every run.
    for (const [i, entry] of manifest.manifests.entries()) {
      const child = children.get(i)
      const label = entry.platform ? formatPlatform(entry.platform) : platform
      if (child) await this.visit(child, label, depth + 1)
      else if (!isManifestMediaType(entry.mediaType)) this.#addBlob(entry, label)
    }
  }

  #addBlob(descriptor: Descriptor, platform: string): void {
    const blobs = isForeignLayer(descriptor) ? this.foreign : this.blobs
    const known = blobs.get(descriptor.digest)
    if (!known) {
      blobs.set(descriptor.digest, { descriptor, platform })
    } else if (known.descriptor.size !== descriptor.size) {
      throw new S3loError(
        'INTEGRITY',
        `${descriptor.digest} is said to have ${known.descriptor.size} and ${descriptor.size} bytes`,
      )
    }
  }
}
