import {
  type CallOptions,
  isS3loError,
  type LayerReader,
  type LayerReaderContext,
} from '@s3lo/core/plugin'
import { type Descriptor, MAX_MANIFEST_BYTES, parseManifest, readAll } from '@s3lo/core'
import type { TocEntry } from '@s3lo/core/tar'
import { layerForm } from './index/layer-form.ts'
import {
  indexAnnotationImageLayerDigest,
  indexAnnotationImageManifestDigest,
  sociIndexArtifactType,
  sociIndexArtifactTypeV2,
  sociLayerMediaType,
  unmarshalIndex,
} from './index/soci-index.ts'
import { MAX_ZTOC_BYTES, openLayerZtoc, packZtoc, unpackZtoc } from './kept-ztoc.ts'
import { buildZtoc } from './ztoc/build.ts'
import { extractEntry } from './ztoc/extract.ts'
import type { LocatedEntry, OpenZtoc } from './ztoc/read.ts'

/** Opens a layer through the zTOC that is kept beside it, or that a SOCI index of the image names. */
export async function openLayer(
  layer: Descriptor,
  context: LayerReaderContext,
): Promise<LayerReader | undefined> {
  const { signal } = context
  const kept = await context.indexes.read(layer, { signal })
  if (kept) return new ZtocReader(layer, await unpackZtoc(kept, layer), context)
  const ztoc = await findZtoc(layer, context)
  if (!ztoc) return undefined
  const stream = await context.source.fetch(ztoc, { signal })
  const content = await readAll(stream, MAX_ZTOC_BYTES, `zTOC ${ztoc.digest}`)
  return new ZtocReader(layer, openLayerZtoc(content, layer), context)
}

/** Reads the layer once, and keeps its zTOC beside it. `undefined` for one that can have none. */
export async function indexLayer(
  layer: Descriptor,
  context: LayerReaderContext,
): Promise<LayerReader | undefined> {
  const { signal } = context
  const form = layerForm(layer)
  if (form.kind !== 'indexable') return undefined
  try {
    const content = await context.source.fetch(layer, { signal })
    // Media types are wrong at times, and the first bytes never are.
    const built = await buildZtoc(content, { algorithm: 'auto', signal })
    await context.indexes.write(layer, await packZtoc(built.content), { signal })
    return new ZtocReader(layer, openLayerZtoc(built.content, layer), context)
  } catch (error) {
    if (isS3loError(error, 'UNSUPPORTED')) return undefined
    throw error
  }
}

class ZtocReader implements LayerReader {
  readonly entries: readonly TocEntry[]
  readonly #layer: Descriptor
  readonly #ztoc: OpenZtoc
  readonly #context: LayerReaderContext
  readonly #located: ReadonlyMap<TocEntry, LocatedEntry>

  constructor(layer: Descriptor, ztoc: OpenZtoc, context: LayerReaderContext) {
    this.#layer = layer
    this.#ztoc = ztoc
    this.#context = context
    this.entries = ztoc.entries.map(({ entry }) => entry)
    this.#located = new Map(ztoc.entries.map((located) => [located.entry, located]))
  }

  async *read(entry: TocEntry, options?: CallOptions): AsyncGenerator<Uint8Array> {
    const located = this.#located.get(entry)
    if (!located) return
    const { source } = this.#context
    yield* extractEntry(
      this.#ztoc,
      located,
      (range, inner) => source.fetch(this.#layer, { ...inner, range }),
      options,
    )
  }
}

/** The zTOC of the layer in a SOCI index of the image, of version 2 (listed) or 1 (a referrer). */
async function findZtoc(
  layer: Descriptor,
  context: LayerReaderContext,
): Promise<Descriptor | undefined> {
  const { source, signal } = context
  for await (const { mediaType, digest, size } of sociIndexes(context)) {
    const stream = await source.fetch({ mediaType, digest, size }, { signal })
    const index = unmarshalIndex(await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`))
    const ztoc = index.blobs.find(
      (blob) =>
        blob.mediaType === sociLayerMediaType &&
        blob.annotations?.[indexAnnotationImageLayerDigest] === layer.digest,
    )
    if (ztoc) return { mediaType: ztoc.mediaType, digest: ztoc.digest, size: ztoc.size }
  }
  return undefined
}

async function* sociIndexes({
  root,
  image,
  source,
  signal,
}: LayerReaderContext): AsyncGenerator<Descriptor> {
  const { digest } = image.descriptor
  const parsed = parseManifest(root.content, root.descriptor.digest)
  for (const entry of parsed.kind === 'index' ? parsed.manifests : []) {
    const isOfImage = entry.annotations?.[indexAnnotationImageManifestDigest] === digest
    if (entry.artifactType === sociIndexArtifactTypeV2 && isOfImage) yield entry
  }
  for await (const referrer of source.referrers?.(image.descriptor, { signal }) ?? []) {
    if (referrer.artifactType === sociIndexArtifactType) yield referrer
  }
}
