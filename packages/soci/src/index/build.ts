import { availableParallelism } from 'node:os'
import { Readable } from 'node:stream'
import { forEachConcurrent, type ImageSource, isS3loError, S3loError } from '@s3lo/core/plugin'
import {
  BlobReport,
  type Descriptor,
  digestOf,
  formatPlatform,
  hostPlatform,
  isSamePlatform,
  ImageStore,
  type ManifestDocument,
  readAll,
  reportPlan,
  toDocument,
} from '@s3lo/core'
import {
  type ArtifactEntry,
  artifactEntryTypeIndex,
  artifactEntryTypeLayer,
  type ArtifactsDb,
  ztocKey,
} from '../artifacts/artifacts-db.ts'
import { StoreArtifacts } from '../store-artifacts.ts'
import { buildZtoc } from '../ztoc/build.ts'
import { decodeZtoc } from '../ztoc/flatbuffer.ts'
import {
  type BuiltZtoc,
  DEFAULT_BUILD_TOOL_IDENTIFIER,
  DEFAULT_SPAN_SIZE,
  needsNoXattrs,
} from '../ztoc/ztoc-builder.ts'
import type {
  BuildOptions,
  IndexBuilderOptions,
  IndexWithMetadata,
  SociBlobStore,
} from './build-contract.ts'
import { getImageManifestDescriptor, readDocument } from './image-platforms.ts'
import { layerForm } from './layer-form.ts'
import {
  EmptyIndexError,
  type Index,
  indexAnnotationBuildToolIdentifier,
  indexAnnotationDisableXattrs,
  indexAnnotationImageLayerDigest,
  indexAnnotationImageLayerMediaType,
  indexAnnotationSpanSize,
  type IndexVersion,
  marshalIndex,
  newIndex,
  SOCI_CONFIG_CONTENT,
  sociLayerMediaType,
  xattrOptimization,
} from './soci-index.ts'

/** Compressed layers smaller than this are not indexed unless asked otherwise (bytes). */
export const DEFAULT_MIN_LAYER_SIZE = 10 * 1024 * 1024

/** The largest zTOC that is read again to be reused (bytes). */
const MAX_ZTOC_BYTES = 1024 * 1024 * 1024

/** Builds SOCI indexes of images, and stores them with their zTOCs. */
export class IndexBuilder {
  readonly artifactsDb: ArtifactsDb | undefined
  readonly contentStore: ImageSource
  readonly blobStore: SociBlobStore | ImageStore
  readonly #options: IndexBuilderOptions
  readonly #spanSize: number
  readonly #minLayerSize: number
  readonly #repository: string | undefined
  readonly #tool: string

  /** Throws `USAGE` for sizes that are negative. */
  constructor(
    contentStore: ImageSource,
    blobStore: SociBlobStore | ImageStore,
    artifactsDb?: ArtifactsDb,
    options: IndexBuilderOptions = {},
  ) {
    this.contentStore = contentStore
    this.blobStore = blobStore
    this.artifactsDb = artifactsDb
    this.#options = options
    this.#spanSize = checkSize(options.spanSize ?? DEFAULT_SPAN_SIZE, 'span size')
    this.#minLayerSize = checkSize(
      options.minLayerSize ?? DEFAULT_MIN_LAYER_SIZE,
      'minimum layer size',
    )
    this.#repository = options.repository
    this.#tool = options.buildToolIdentifier ?? DEFAULT_BUILD_TOOL_IDENTIFIER
  }

  /**
   * Indexes an image for a platform and stores the index, its zTOCs first; one of version 1 is
   * attached to the image's manifest. Layers that cannot be indexed are skipped with a reason. Throws {@link EmptyIndexError} when none is left, `NOT_FOUND`
   * when the image is not there for the platform, `INTEGRITY` when a layer is not its digest's.
   */
  async build(
    image: Descriptor,
    { platform: wanted = hostPlatform(), version = 'v1', signal }: BuildOptions = {},
  ): Promise<IndexWithMetadata> {
    const { contentStore } = this
    const manifest = await getImageManifestDescriptor(contentStore, image, wanted, { signal })
    // The nearest that there is may be another one than was asked for.
    const { platform: found = wanted } = manifest
    const platform = isSamePlatform(found, wanted) ? wanted : found
    const { manifest: parsed } = await readDocument(contentStore, manifest, { signal })
    const layers = parsed.kind === 'manifest' ? parsed.layers : []
    const run = new LayerRun(
      sideOf(this.blobStore, version, this.#repository),
      formatPlatform(platform),
    )
    run.known = await this.#knownZtocs(signal)
    await this.#indexLayers(layers, run, signal)
    const blobs = layers.flatMap((layer) => run.ztocs.get(layer.digest) ?? [])
    const skipped = [...run.skipped].map(([digest, reason]) => ({ digest, reason }))
    if (blobs.length === 0) throw new EmptyIndexError(skipped.map(({ reason }) => reason))
    const annotations = { [indexAnnotationBuildToolIdentifier]: this.#tool }
    const index = newIndex(blobs, version === 'v1' ? manifest : undefined, annotations, version)
    const document = toDocument(marshalIndex(index), index.mediaType)
    const createdAt = this.#now()
    await this.#storeIndex(index, document, run.side, signal)
    await this.artifactsDb?.writeArtifactEntry(
      {
        ...document.descriptor,
        type: artifactEntryTypeIndex,
        artifactType: index.artifactType,
        originalDigest: manifest.digest,
        location: manifest.digest,
        imageDigest: image.digest,
        platform: formatPlatform(platform),
        repository: this.#repository ?? '',
        createdAt,
        spanSize: 0,
        buildToolIdentifier: this.#tool,
      },
      { signal },
    )
    const imageDigest = image.digest
    const { reused } = run
    return { index, document, platform, imageDigest, manifest, createdAt, skipped, reused }
  }

  async #knownZtocs(signal?: AbortSignal): Promise<ReadonlyMap<string, ArtifactEntry>> {
    if (!this.artifactsDb || this.#options.forceRecreateZtocs) return new Map()
    return this.artifactsDb.getZtocEntries({ signal })
  }

  async #indexLayers(
    layers: readonly Descriptor[],
    run: LayerRun,
    signal?: AbortSignal,
  ): Promise<void> {
    const unique = new Map(layers.map((layer) => [layer.digest, layer]))
    const indexable = [...unique.values()].filter((layer) => this.#isIndexable(layer))
    reportPlan(
      indexable.map((descriptor) => ({ descriptor, platform: run.platform })),
      this.#options,
    )
    const concurrency = this.#options.concurrency ?? Math.min(4, availableParallelism())
    await forEachConcurrent(
      unique.values(),
      concurrency,
      (layer, inner) => this.#indexLayer(layer, run, inner),
      signal,
    )
  }

  #isIndexable(layer: Descriptor): boolean {
    const { kind } = layerForm(layer)
    return kind !== 'not-a-layer' && kind !== 'skipped' && layer.size >= this.#minLayerSize
  }

  async #indexLayer(layer: Descriptor, run: LayerRun, signal: AbortSignal): Promise<void> {
    const form = layerForm(layer)
    if (form.kind === 'not-a-layer') {
      throw new S3loError('UNSUPPORTED', `${layer.digest} is not a layer but ${layer.mediaType}`)
    }
    if (form.kind === 'skipped') {
      run.skipped.set(layer.digest, form.reason)
    } else if (layer.size < this.#minLayerSize) {
      const reason = `it has ${layer.size} bytes, less than ${this.#minLayerSize}`
      run.skipped.set(layer.digest, reason)
    } else {
      const report = new BlobReport({ descriptor: layer, platform: run.platform }, this.#options)
      const reused = await this.#reuse(layer, run, signal)
      if (!reused) report.start()
      const ztoc = reused ?? (await this.#buildZtoc(layer, form.algorithm, { run, report }, signal))
      report.end(reused ? 'skip' : 'done')
      if (ztoc) run.ztocs.set(layer.digest, ztoc)
    }
  }

  async #reuse(
    layer: Descriptor,
    run: LayerRun,
    signal: AbortSignal,
  ): Promise<Descriptor | undefined> {
    const known = run.known.get(
      ztocKey({
        originalDigest: layer.digest,
        spanSize: this.#spanSize,
        buildToolIdentifier: this.#tool,
      }),
    )
    if (!known) return undefined
    const { digest, size } = known
    const ztoc = { mediaType: sociLayerMediaType, digest, size }
    if (!(await run.side.exists(ztoc, { signal }))) return undefined
    run.reused += 1
    return this.#describe(layer, ztoc, await this.#storedNeedsNoXattrs(ztoc, run, signal))
  }

  async #storedNeedsNoXattrs(
    ztoc: Descriptor,
    { side }: LayerRun,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!this.#options.optimizations?.includes(xattrOptimization)) return false
    const stream = await side.fetch(ztoc, { signal })
    return needsNoXattrs(decodeZtoc(await readAll(stream, MAX_ZTOC_BYTES, `zTOC ${ztoc.digest}`)))
  }

  async #buildZtoc(
    layer: Descriptor,
    algorithm: 'gzip' | 'uncompressed' | 'auto',
    reported: ReportedRun,
    signal: AbortSignal,
  ): Promise<Descriptor | undefined> {
    const built = await this.#tryBuild(layer, algorithm, reported, signal)
    if (!built) return undefined
    const { content } = built
    const ztoc = {
      mediaType: sociLayerMediaType,
      digest: digestOf(content),
      size: content.byteLength,
    }
    await this.#store(ztoc, content, reported.run.side, signal)
    await this.#recordZtoc(layer, ztoc, signal)
    return this.#describe(layer, ztoc, built.needsNoXattrs)
  }

  async #tryBuild(
    layer: Descriptor,
    algorithm: 'gzip' | 'uncompressed' | 'auto',
    reported: ReportedRun,
    signal: AbortSignal,
  ): Promise<BuiltZtoc | undefined> {
    const content = await this.contentStore.fetch(layer, { signal })
    let position = 0
    try {
      return await buildZtoc(content, {
        onRead: (delta) => {
          position += delta
          reported.report.reach(position)
        },
        spanSize: this.#spanSize,
        buildToolIdentifier: this.#tool,
        algorithm,
        signal,
      })
    } catch (error) {
      // What no zTOC can describe must be whole all the same: else the store is what is broken.
      if (!isS3loError(error, 'UNSUPPORTED') && !isS3loError(error, 'INTEGRITY')) throw error
      await this.#verify(layer, signal)
      reported.run.skipped.set(layer.digest, error.message)
      return undefined
    }
  }

  async #verify(layer: Descriptor, signal: AbortSignal): Promise<void> {
    const content = await this.contentStore.fetch(layer, { signal })
    for await (const _ of content) signal.throwIfAborted()
  }

  #describe(layer: Descriptor, ztoc: Descriptor, noXattrs: boolean): Descriptor {
    const disable = noXattrs && this.#options.optimizations?.includes(xattrOptimization)
    return {
      ...ztoc,
      annotations: {
        ...(disable ? { [indexAnnotationDisableXattrs]: 'true' } : {}),
        [indexAnnotationImageLayerDigest]: layer.digest,
        [indexAnnotationImageLayerMediaType]: layer.mediaType,
        [indexAnnotationSpanSize]: String(this.#spanSize),
      },
    }
  }

  async #recordZtoc(layer: Descriptor, ztoc: Descriptor, signal: AbortSignal): Promise<void> {
    await this.artifactsDb?.writeArtifactEntry(
      {
        ...ztoc,
        type: artifactEntryTypeLayer,
        artifactType: '',
        originalDigest: layer.digest,
        location: layer.digest,
        imageDigest: '',
        platform: '',
        repository: '',
        createdAt: this.#now(),
        spanSize: this.#spanSize,
        buildToolIdentifier: this.#tool,
      },
      { signal },
    )
  }

  async #storeIndex(
    index: Index,
    document: ManifestDocument,
    side: SociBlobStore,
    signal?: AbortSignal,
  ): Promise<void> {
    if (index.subject && side.attach) {
      const open = async (blob: Descriptor): Promise<Readable> =>
        blob.digest === index.config.digest
          ? Readable.from([SOCI_CONFIG_CONTENT])
          : side.fetch(blob, { signal })
      await side.attach(document, index.subject, open, { signal })
      return
    }
    await this.#store(index.config, SOCI_CONFIG_CONTENT, side, signal)
    await this.#store(document.descriptor, document.content, side, signal)
  }

  /** What is there is replaced only when it must be: it may be damaged then. */
  async #store(
    descriptor: Descriptor,
    content: Uint8Array,
    side: SociBlobStore,
    signal?: AbortSignal,
  ): Promise<void> {
    const { forceRecreateZtocs = false } = this.#options
    if (!forceRecreateZtocs && (await side.exists(descriptor, { signal }))) return
    await side.push(descriptor, async () => Readable.from([content]), { signal })
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date()
  }
}

/** What one build finds, by the digests of the layers. */
class LayerRun {
  known: ReadonlyMap<string, ArtifactEntry> = new Map()
  readonly ztocs = new Map<string, Descriptor>()
  readonly skipped = new Map<string, string>()
  reused = 0
  /** Where the artifacts of the index's version go. */
  readonly side: SociBlobStore
  /** Of the image's manifest, for reports. */
  readonly platform: string

  constructor(side: SociBlobStore, platform: string) {
    this.side = side
    this.platform = platform
  }
}

/** A run, and the report of the layer that it reads. */
interface ReportedRun {
  readonly run: LayerRun
  readonly report: BlobReport
}

/** Where what is made goes. */
export function sideOf(
  store: SociBlobStore | ImageStore,
  version: IndexVersion,
  repository?: string,
): SociBlobStore {
  return store instanceof ImageStore ? new StoreArtifacts(store, version, repository) : store
}

function checkSize(size: number, what: string): number {
  if (Number.isSafeInteger(size) && size >= 0) return size
  throw new S3loError('USAGE', `a ${what} of ${size} is not 0 or more bytes`)
}
