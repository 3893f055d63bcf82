import {
  type CallOptions,
  type ErrorCode,
  isS3loError,
  type LayerReader,
  type LayerReaderContext,
  type S3loError,
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

/** What is wrong with one index, while another one may do. */
const FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED', 'NOT_FOUND'])

/**
 * Opens a layer through the zTOC that is kept beside it, or that a SOCI index of the image names:
 * the first that can be used. Where there are only others, throws what is wrong with the first.
 */
export async function openLayer(
  layer: Descriptor,
  context: LayerReaderContext,
): Promise<LayerReader | undefined> {
  let fault: S3loError | undefined
  for await (const open of zTocs(layer, context)) {
    try {
      const ztoc = await open()
      if (ztoc) return new ZtocReader(layer, ztoc, context)
    } catch (error) {
      if (!isS3loError(error) || !FAULTS.has(error.code)) throw error
      fault ??= error
    }
  }
  if (fault) throw fault
  return undefined
}

/** Where a zTOC of the layer may be, the cheapest first. */
async function* zTocs(
  layer: Descriptor,
  context: LayerReaderContext,
): AsyncGenerator<() => Promise<OpenZtoc | undefined>> {
  yield () => keptZtoc(layer, context)
  for await (const index of sociIndexes(context)) yield () => namedZtoc(layer, index, context)
}

async function keptZtoc(
  layer: Descriptor,
  { indexes, signal }: LayerReaderContext,
): Promise<OpenZtoc | undefined> {
  const kept = await indexes.read(layer, { signal })
  return kept && unpackZtoc(kept, layer)
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

/** The zTOC of the layer that a SOCI index names. */
async function namedZtoc(
  layer: Descriptor,
  { mediaType, digest, size }: Descriptor,
  { source, signal }: LayerReaderContext,
): Promise<OpenZtoc | undefined> {
  const stream = await source.fetch({ mediaType, digest, size }, { signal })
  const index = unmarshalIndex(await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`))
  const ztoc = index.blobs.find(
    (blob) =>
      blob.mediaType === sociLayerMediaType &&
      blob.annotations?.[indexAnnotationImageLayerDigest] === layer.digest,
  )
  if (!ztoc) return undefined
  const content = await source.fetch(
    { mediaType: ztoc.mediaType, digest: ztoc.digest, size: ztoc.size },
    { signal },
  )
  return openLayerZtoc(await readAll(content, MAX_ZTOC_BYTES, `zTOC ${ztoc.digest}`), layer)
}

/** Version 2 is listed with the image, version 1 is a referrer of it. */
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
