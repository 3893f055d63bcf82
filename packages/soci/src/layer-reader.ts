import {
  type CallOptions,
  type ErrorCode,
  type IndexCheck,
  isRefusedBeside,
  isS3loError,
  type LayerReader,
  type LayerReaderContext,
  type ProgressOptions,
  S3loError,
  type StorageBackend,
} from '@s3lo/core/plugin'
import { type Descriptor, MAX_MANIFEST_BYTES, readAll } from '@s3lo/core'
import type { TocEntry } from '@s3lo/core/tar'
import { layerForm } from './index/layer-form.ts'
import {
  type Index,
  indexAnnotationImageLayerDigest,
  indexAnnotationImageManifestDigest,
  sociIndexArtifactType,
  sociIndexArtifactTypeV2,
  sociLayerMediaType,
  unmarshalIndex,
} from './index/soci-index.ts'
import { MAX_ZTOC_BYTES, openKept, openLayerZtoc, packZtoc } from './kept-ztoc.ts'
import { extractEntry, type FetchRange, probeSpan } from './ztoc/extract.ts'
import type { OpenZtoc } from './ztoc/read.ts'

/** What is wrong with one index, while another one may do. */
const FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED', 'NOT_FOUND'])

/**
 * Opens a layer through the zTOC that is kept beside it, or that a SOCI index of the image names:
 * the first that can be used. Where there are only others, throws what is wrong with the first.
 * A kept zTOC must be the one that the image itself names, where it names one.
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

type Open = () => Promise<OpenZtoc | undefined>

/** Where a zTOC of the layer may be, the cheapest first. */
async function* zTocs(layer: Descriptor, context: LayerReaderContext): AsyncGenerator<Open> {
  const { indexes, signal } = context
  const listed = ownIndexes(context)
  // What the image names is needed beside the kept one, and is small: both are asked for at once.
  const named = Promise.allSettled(listed.map((index) => findZtoc(layer, index, context)))
  const kept = await Promise.allSettled([indexes.read(layer, { signal })])
  const found = await named
  yield () => openBound(layer, valueOf(kept[0]), found)
  for (const one of found) {
    yield async () => {
      const ztoc = valueOf(one)
      return ztoc && readNamed(layer, ztoc, context)
    }
  }
  for (const index of await memoOf(context).referringIndexes()) {
    yield async () => {
      const ztoc = await findZtoc(layer, index, context)
      return ztoc && readNamed(layer, ztoc, context)
    }
  }
}

type Found = PromiseSettledResult<Descriptor | undefined>

/** The kept zTOC: bound by the digest in the image where the image names one, else by its label. */
async function openBound(
  layer: Descriptor,
  packed: Uint8Array | undefined,
  named: readonly Found[],
): Promise<OpenZtoc | undefined> {
  if (!packed) return undefined
  const { opened, digest } = await openKept(packed, layer)
  const expected = named.flatMap((one) => valueOf(one)?.digest ?? [])
  if (expected.length === 0 || expected.includes(digest)) return opened
  throw new S3loError(
    'INTEGRITY',
    `the index that is kept beside layer ${layer.digest}: expected zTOC ${expected.join(' or ')}, got ${digest}`,
  )
}

function valueOf<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason
  return result.value
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
    // Loaded for this alone: threads and a decompressor are of no use to a reader.
    const { buildZtoc } = await import('./ztoc/build.ts')
    const content = await context.source.fetch(layer, { signal })
    // Media types are wrong at times, and the first bytes never are.
    const built = await buildZtoc(content, { algorithm: 'auto', signal })
    const kept = await packZtoc(built.content, layer.digest)
    await context.indexes.write(layer, kept, { signal })
    return new ZtocReader(layer, openLayerZtoc(built.content, layer), context)
  } catch (error) {
    if (isS3loError(error, 'UNSUPPORTED')) return undefined
    throw error
  }
}

/** See `LayerReaderModule.checkIndexes`. */
export async function checkIndexes(
  backend: StorageBackend,
  layers: Iterable<Descriptor>,
  options?: CallOptions & ProgressOptions,
): Promise<IndexCheck> {
  const { checkIndexes: check } = await import('./check-indexes.ts')
  return check(backend, layers, options)
}

class ZtocReader implements LayerReader {
  readonly entries: readonly TocEntry[]
  readonly #layer: Descriptor
  readonly #ztoc: OpenZtoc
  readonly #context: LayerReaderContext

  constructor(layer: Descriptor, ztoc: OpenZtoc, context: LayerReaderContext) {
    this.#layer = layer
    this.#ztoc = ztoc
    this.#context = context
    this.entries = ztoc.ztoc.entries
  }

  async *read(entry: TocEntry, options?: CallOptions): AsyncGenerator<Uint8Array> {
    // One search of all for each file that is read costs less than a map of all for each layer.
    const located = this.#ztoc.entries[this.entries.indexOf(entry)]
    if (!located) return
    yield* extractEntry(this.#ztoc, located, this.#fetch, options)
  }

  async probe(options?: CallOptions): Promise<void> {
    await probeSpan(this.#ztoc, this.#fetch, options)
  }

  readonly #fetch: FetchRange = (range, options) =>
    this.#context.source.fetch(this.#layer, { ...options, range })
}

/** The zTOC of the layer that a SOCI index names. */
async function findZtoc(
  layer: Descriptor,
  index: Descriptor,
  context: LayerReaderContext,
): Promise<Descriptor | undefined> {
  const { blobs } = await memoOf(context).index(index)
  return blobs.find(
    (blob) =>
      blob.mediaType === sociLayerMediaType &&
      blob.annotations?.[indexAnnotationImageLayerDigest] === layer.digest,
  )
}

async function readNamed(
  layer: Descriptor,
  { mediaType, digest, size }: Descriptor,
  { source, signal }: LayerReaderContext,
): Promise<OpenZtoc> {
  const content = await source.fetch({ mediaType, digest, size }, { signal })
  return openLayerZtoc(await readAll(content, MAX_ZTOC_BYTES, `zTOC ${digest}`), layer)
}

/** Indexes of version 2, which the image lists: its digest covers them. */
function ownIndexes({ root, image }: LayerReaderContext): readonly Descriptor[] {
  const { digest } = image.descriptor
  const parsed = root.manifest
  if (parsed.kind !== 'index') return []
  return parsed.manifests.filter(
    ({ artifactType, annotations }) =>
      artifactType === sociIndexArtifactTypeV2 &&
      annotations?.[indexAnnotationImageManifestDigest] === digest,
  )
}

/** What the layers of one image have in common, and is read once for all of them. */
class Memo {
  readonly #context: LayerReaderContext
  readonly #indexes = new Map<string, Promise<Index>>()
  #referring: Promise<readonly Descriptor[]> | undefined

  constructor(context: LayerReaderContext) {
    this.#context = context
  }

  index(descriptor: Descriptor): Promise<Index> {
    const { digest } = descriptor
    const reading = this.#indexes.get(digest) ?? this.#read(descriptor)
    this.#indexes.set(digest, reading)
    return reading
  }

  /** Indexes of version 1, which refer to the image: its digest does not cover them. */
  referringIndexes(): Promise<readonly Descriptor[]> {
    this.#referring ??= this.#listReferring()
    return this.#referring
  }

  async #read({ mediaType, digest, size }: Descriptor): Promise<Index> {
    const { source, signal } = this.#context
    const stream = await source.fetch({ mediaType, digest, size }, { signal })
    return unmarshalIndex(await readAll(stream, MAX_MANIFEST_BYTES, `SOCI index ${digest}`))
  }

  async #listReferring(): Promise<readonly Descriptor[]> {
    const { image, source, signal } = this.#context
    const found: Descriptor[] = []
    try {
      for await (const one of source.referrers?.(image.descriptor, { signal }) ?? []) {
        if (one.artifactType === sociIndexArtifactType) found.push(one)
      }
    } catch (error) {
      signal?.throwIfAborted()
      const readImage = async (): Promise<unknown> =>
        (await source.fetch(image.descriptor, { signal })).destroy()
      if (!(await isRefusedBeside(error, readImage))) throw error
    }
    return found
  }
}

const memos = new WeakMap<LayerReaderContext, Memo>()

function memoOf(context: LayerReaderContext): Memo {
  const memo = memos.get(context) ?? new Memo(context)
  memos.set(context, memo)
  return memo
}
