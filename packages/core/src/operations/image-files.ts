import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type {
  LayerReader,
  LayerReaderContext,
  LayerReaderModule,
} from '../contract/layer-reader.ts'
import { type ErrorCode, isS3loError, S3loError } from '../errors.ts'
import { LayerTree } from '../filesystem/layer-tree.ts'
import { MergedFiles } from '../filesystem/merged-files.ts'
import { streamLayer } from '../filesystem/stream-layer.ts'
import { selectRoot } from '../graph/select.ts'
import { layerIndexKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { parseManifest } from '../oci/document.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { Reference } from '../oci/reference.ts'
import { readObject } from '../store/manifests.ts'
import type { ImageStore } from '../store/image-store.ts'
import { metered } from '../stream/verify-digest.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import type { OperationOptions } from './options.ts'

/** What looking into an image accepts. */
export interface ImageFilesOptions extends OperationOptions {
  /** `os/arch[/variant]`; default the host's. */
  readonly platform?: string | undefined
  /** Makes an index of each layer that is looked into and has none, for the next reader. */
  readonly index?: boolean | undefined
}

/** What reads layers that have an index, and the name that it keeps its indexes under. */
export interface NamedLayerReader {
  readonly name: string
  readonly module: LayerReaderModule
}

/** The files of one platform of an image, and what reading them has cost. */
export interface ImageFiles {
  readonly files: MergedFiles
  readonly layers: readonly Descriptor[]
  /** Bytes of layers and of their indexes that were fetched so far. */
  readonly fetched: () => number
  /** The content of a file that a layer holds. */
  read(layer: number, entry: TocEntry, options?: CallOptions): AsyncIterable<Uint8Array>
}

/** An index that is larger than this is not read (bytes). */
const MAX_INDEX_BYTES = 256 * 1024 * 1024

/**
 * Opens an image to look into it; layers are opened from the top when they are needed.
 * `keep` tells which files are probably wanted.
 */
export async function openImageFiles(
  store: ImageStore,
  reference: Reference,
  reader: NamedLayerReader | undefined,
  keep: (entry: TocEntry) => boolean,
  options: ImageFilesOptions = {},
): Promise<ImageFiles> {
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const root = await store.read(reference, options)
  const image = await selectRoot(store, root, { kind: 'run', platform }, options)
  const manifest = parseManifest(image.content, image.descriptor.digest)
  if (manifest.kind === 'index') {
    throw new S3loError('UNSUPPORTED', `${image.descriptor.digest} is an index inside of an index`)
  }
  return new OpenedFiles(
    new LayerOpener(store, { root, image }, reader, keep, options),
    manifest.layers,
  )
}

class OpenedFiles implements ImageFiles {
  readonly files: MergedFiles
  readonly layers: readonly Descriptor[]
  readonly #opener: LayerOpener
  readonly #opened = new Map<number, LayerReader>()

  constructor(opener: LayerOpener, layers: readonly Descriptor[]) {
    this.#opener = opener
    this.layers = layers
    this.files = new MergedFiles(layers.length, (layer) => this.#open(layer))
  }

  readonly fetched = (): number => this.#opener.fetched

  read(layer: number, entry: TocEntry, options?: CallOptions): AsyncIterable<Uint8Array> {
    return this.#opened.get(layer)?.read(entry, options) ?? Readable.from([])
  }

  async #open(layer: number): Promise<LayerTree> {
    const descriptor = this.layers[layer]
    if (!descriptor) throw new S3loError('INTERNAL', `there is no layer ${layer}`)
    const opened = await this.#opener.open(descriptor)
    this.#opened.set(layer, opened)
    return new LayerTree(opened.entries)
  }
}

/** What may be wrong with an index, of which the layer is free. */
const INDEX_FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED', 'NOT_FOUND'])

/** Opens layers in the cheapest way there is, and counts what that takes. */
class LayerOpener {
  fetched = 0
  readonly #reader: NamedLayerReader | undefined
  readonly #keep: (entry: TocEntry) => boolean
  readonly #options: ImageFilesOptions
  readonly #context: LayerReaderContext

  constructor(
    store: ImageStore,
    documents: Pick<LayerReaderContext, 'root' | 'image'>,
    reader: NamedLayerReader | undefined,
    keep: (entry: TocEntry) => boolean,
    options: ImageFilesOptions,
  ) {
    this.#reader = reader
    this.#keep = keep
    this.#options = options
    const { signal } = options
    const indexes = keptIndexes(store, reader?.name ?? '', (bytes) => this.#count(bytes))
    this.#context = { ...documents, signal, source: this.#counted(store), indexes }
  }

  async open(layer: Descriptor): Promise<LayerReader> {
    const indexed = await this.#openIndexed(layer)
    if (indexed) return indexed
    const { signal } = this.#options
    return streamLayer(this.#context.source, layer, { keep: this.#keep, signal })
  }

  async #openIndexed(layer: Descriptor): Promise<LayerReader | undefined> {
    const module = this.#reader?.module
    if (!module) return undefined
    const context = this.#context
    const found = await module.openLayer(layer, context).catch((error: unknown) => {
      // A broken index costs time, and never the file: the layer itself is what counts.
      if (!isS3loError(error) || !INDEX_FAULTS.has(error.code)) throw error
      this.#notice('layer-index-broken', `${error.message}; reading the whole layer`)
      return undefined
    })
    if (found || !this.#options.index) return found
    const made = await module.indexLayer(layer, context)
    if (!made) this.#notice('layer-not-indexed', `layer ${layer.digest} cannot be indexed`)
    return made
  }

  #notice(code: string, message: string): void {
    this.#options.onProgress?.({ type: 'notice', code, message })
  }

  #count(bytes: number): void {
    this.fetched += bytes
  }

  #counted(store: ImageStore): Pick<ImageSource, 'name' | 'fetch' | 'referrers'> {
    return {
      name: store.name,
      fetch: async (descriptor, options) =>
        metered(await store.fetch(descriptor, options), (bytes) => this.#count(bytes)),
      referrers: (subject, options) => store.referrers(subject, options),
    }
  }
}

function keptIndexes(
  { backend }: ImageStore,
  reader: string,
  count: (bytes: number) => void,
): LayerReaderContext['indexes'] {
  return {
    async read({ digest }, options) {
      const key = layerIndexKey(reader, digest)
      const content = await readObject(backend, key, MAX_INDEX_BYTES, options)
      count(content?.byteLength ?? 0)
      return content
    },
    async write({ digest }, content, options) {
      await backend.put(layerIndexKey(reader, digest), content, {
        ...options,
        size: content.byteLength,
        mediaType: 'application/octet-stream',
      })
    },
  }
}
