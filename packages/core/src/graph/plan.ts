import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import { type Descriptor, isForeignLayer, totalSize } from '../oci/descriptor.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { formatPlatform, type Platform } from '../oci/platform.ts'
import { isAttestation } from './index-entries.ts'
import type { ContentReader } from './read-manifest.ts'
import { entriesBelow, readBelow } from './walk.ts'

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

/**
 * Reads every manifest below `root` and lists what must be copied. Throws `INTEGRITY` for a graph
 * that is too deep, too large, or contradicts itself.
 */
export async function planGraph(
  source: ContentReader,
  root: ManifestDocument,
  options: CallOptions = {},
): Promise<GraphPlan> {
  const below = await readBelow(source, root, options)
  const documents: ManifestDocument[] = []
  const found = new PlannedContent()
  found.addManifest(root, undefined)
  for (const { entry, document, platform, isRepeated } of entriesBelow(root, below)) {
    if (document && !isRepeated) {
      documents.push(document)
      found.addManifest(document, platform)
    } else if (!document) found.addBlob(entry, platform)
  }
  return {
    root,
    documents,
    blobs: [...found.blobs.values()],
    foreign: [...found.foreign.values()],
    platforms: Math.max(1, found.platforms),
    attestations: found.attestations,
    logicalSize: found.logicalSize,
  }
}

/** Configs and layers of an image, each digest once: what it takes in a store (bytes). */
export function contentSize({ blobs }: Pick<GraphPlan, 'blobs'>): number {
  return totalSize(blobs.map(({ descriptor }) => descriptor))
}

/** What the manifests of an image name. */
class PlannedContent {
  readonly blobs = new Map<string, PlannedBlob>()
  readonly foreign = new Map<string, PlannedBlob>()
  platforms = 0
  attestations = 0
  logicalSize = 0

  /** The entries of an index are added one by one. */
  addManifest({ descriptor, manifest }: ManifestDocument, platform: Platform | undefined): void {
    if (manifest.kind === 'index') return
    if (isAttestation(descriptor)) this.attestations++
    else this.platforms++
    const content = successors(manifest)
    this.logicalSize += totalSize(content)
    for (const blob of content) this.addBlob(blob, platform)
  }

  /** A blob is of the first platform that names it. */
  addBlob(descriptor: Descriptor, platform: Platform | undefined): void {
    const blobs = isForeignLayer(descriptor) ? this.foreign : this.blobs
    const known = blobs.get(descriptor.digest)
    if (!known) {
      const label = platform ? formatPlatform(platform) : 'single'
      blobs.set(descriptor.digest, { descriptor, platform: label })
    } else if (known.descriptor.size !== descriptor.size) {
      throw new S3loError(
        'INTEGRITY',
        `${descriptor.digest} is said to have ${known.descriptor.size} and ${descriptor.size} bytes`,
      )
    }
  }
}
