import { Readable } from 'node:stream'
import {
  assertDepth,
  parseDocument,
  documentWith,
  type BlobSink,
  choosePlatform,
  type Descriptor,
  formatPlatform,
  type IndexedImage,
  type ImageSource,
  isIndexMediaType,
  isManifestMediaType,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseImageConfig,
  type ProgressOptions,
  readIndexContent,
  runsOn,
  S3loError,
  successors,
  type TransferOptions,
  uniqueByDigest,
} from '@s3lo/core'
import { blobPath } from '../layout/layout-files.ts'
import { slice } from '../stream/slice.ts'
import type { SavedImage } from './read-save.ts'

/**
 * Publishes from a save that is an OCI layout what `root` names: the manifest or index
 * verbatim, or, of an index, the platform that is asked for. Documents that are needed go to the
 * sink now. Throws `NOT_FOUND` naming what is missing.
 */
export async function finishLayoutSave(
  save: SavedImage,
  root: Descriptor,
  sink: BlobSink,
  options: TransferOptions,
): Promise<ManifestDocument> {
  const chosen = options.allPlatforms
    ? requireDocument(save, root)
    : await choose(save, requireDocument(save, root), options)
  if (!options.allPlatforms) requirePlatform(save, chosen, options)
  await new Publication(save, sink).publish(chosen, 0)
  const { mediaType, digest, size } = chosen.descriptor
  return documentWith({ mediaType, digest, size }, chosen.content)
}

/** Follows an index to the manifest of one platform, of those whose content is there. */
async function choose(
  save: SavedImage,
  document: ManifestDocument,
  { platform, signal, onProgress }: TransferOptions,
): Promise<ManifestDocument> {
  const { manifest } = document
  if (manifest.kind !== 'index') return document
  const content = await readIndexContent(readerOf(save), document, { signal })
  const isPresent = ({ descriptor, isArtifact }: IndexedImage): boolean =>
    !isArtifact && save.documents.has(blobPath(descriptor.digest))
  const images = content.images.filter(isPresent)
  const { chosen, dropped } = choosePlatform(images, platform)
  if (dropped.length > 0) reportLeft(dropped, { onProgress })
  if (chosen) return requireDocument(save, chosen.descriptor)
  // An image need not say what it runs on.
  const [only] = manifest.manifests
  if (only && content.images.length === 0 && manifest.manifests.length === 1) {
    const child = requireDocument(save, only)
    if (!isIndexMediaType(child.descriptor.mediaType)) return child
  }
  const { digest } = document.descriptor
  throw new S3loError('NOT_FOUND', `${save.archive} holds no platform of ${digest}`, {
    hint: 'pull the image again, so that the engine has its content',
  })
}

/** What a save holds of documents: manifests, indexes and configs. */
function readerOf(save: SavedImage): Pick<ImageSource, 'name' | 'fetch'> {
  return {
    name: save.archive,
    fetch: async ({ digest }) => {
      const content = save.documents.get(blobPath(digest))
      if (content) return Readable.from([content])
      throw new S3loError('NOT_FOUND', `${save.archive} does not hold ${digest}`)
    },
  }
}

/** Says which platforms a transfer leaves behind. */
export function reportLeft(dropped: readonly string[], { onProgress }: ProgressOptions): void {
  const message = `left behind: ${dropped.join(', ')}`
  onProgress?.({ type: 'notice', code: 'platforms-left', message })
}

/** Sees to it that everything a document names is in the sink. */
class Publication {
  readonly #save: SavedImage
  readonly #sink: BlobSink
  readonly #done = new Set<string>()

  constructor(save: SavedImage, sink: BlobSink) {
    this.#save = save
    this.#sink = sink
  }

  async publish({ descriptor, manifest }: ManifestDocument, depth: number): Promise<void> {
    assertDepth(depth)
    for (const next of uniqueByDigest(successors(manifest))) {
      if (this.#done.has(next.digest)) continue
      this.#done.add(next.digest)
      const owner = next.platform ?? descriptor.platform
      const named = owner ? { ...next, platform: owner } : next
      if (isManifestMediaType(next.mediaType)) {
        const child = requireDocument(this.#save, named)
        await this.publish(child, depth + 1)
        await this.#put(next, child.content)
      } else await this.#require(named)
    }
  }

  async #require(descriptor: Descriptor): Promise<void> {
    const path = blobPath(descriptor.digest)
    const content = this.#save.documents.get(path)
    const size = content?.byteLength ?? this.#save.blobs.get(path)?.size
    if (size !== undefined && size !== descriptor.size) {
      const sizes = `${size} bytes, not the ${descriptor.size} of its descriptor`
      throw new S3loError('INTEGRITY', `${descriptor.digest} in ${this.#save.archive} has ${sizes}`)
    }
    if (content) await this.#put(descriptor, content)
    // An engine leaves out what it has not got; the sink may have it all the same.
    else if (size === undefined && !(await this.#sink.has(descriptor))) {
      throw missing(this.#save, descriptor)
    }
  }

  async #put(descriptor: Descriptor, content: Uint8Array): Promise<void> {
    if (!(await this.#sink.has(descriptor))) await this.#sink.put(descriptor, slice(content))
  }
}

function requireDocument(save: SavedImage, descriptor: Descriptor): ManifestDocument {
  const content = save.documents.get(blobPath(descriptor.digest))
  if (!content) throw missing(save, descriptor)
  if (content.byteLength !== descriptor.size || content.byteLength > MAX_MANIFEST_BYTES) {
    throw new S3loError('INTEGRITY', `${descriptor.digest} in ${save.archive} has a wrong size`)
  }
  return parseDocument(content, descriptor.digest, descriptor)
}

/** An image of one platform need not say so in an index; its config does. */
function requirePlatform(
  save: SavedImage,
  { manifest }: ManifestDocument,
  { platform }: TransferOptions,
): void {
  if (!platform || manifest.kind !== 'manifest') return
  const config = save.documents.get(blobPath(manifest.config.digest))
  if (!config) return
  const actual = parseImageConfig(config, manifest.config.digest).platform
  if (runsOn(actual, platform)) return
  throw new S3loError('NOT_FOUND', `${save.archive} has no platform ${formatPlatform(platform)}`, {
    hint: `it has ${formatPlatform(actual)}`,
  })
}

function missing(save: SavedImage, { digest, platform }: Descriptor): S3loError {
  const owner = platform ? ` of platform ${formatPlatform(platform)}` : ''
  return new S3loError('NOT_FOUND', `${save.archive} does not hold ${digest}${owner}`, {
    hint: 'pull that platform first, or leave out --all-platforms',
  })
}
