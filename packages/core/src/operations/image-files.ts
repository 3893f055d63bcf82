import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type {
  LayerReader,
  LayerReaderContext,
  LayerReaderModule,
  LayerSource,
} from '../contract/layer-reader.ts'
import { type ErrorCode, isS3loError, S3loError } from '../errors.ts'
import { LayerTree } from '../filesystem/layer-tree.ts'
import { MergedFiles } from '../filesystem/merged-files.ts'
import { streamLayer } from '../filesystem/stream-layer.ts'
import { selectRoot } from '../graph/select.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { Reference } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { metered } from '../stream/verify-digest.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { KeptIndexes } from './kept-indexes.ts'
import { LayerTables } from './layer-tables.ts'
import { PlainLayers } from './plain-layers.ts'
import type { OperationOptions } from './options.ts'

/** What looking into an image accepts. */
export interface ImageFilesOptions extends OperationOptions {
  /** `os/arch[/variant]`; default the host's. */
  readonly platform?: string | undefined
  /** Makes an index of each layer that is looked into and has none, for the next reader. */
  readonly index?: boolean | undefined
  /** Reads layers whole, by no index, so that their digests cover every byte. Not with `index`. */
  readonly wholeLayers?: boolean | undefined
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
  /** To be called when no more is looked for. */
  close(): void
  /** The content of a file that a layer holds. Throws `INTEGRITY`, also where an index is at fault. */
  read(layer: number, entry: TocEntry, options?: CallOptions): AsyncIterable<Uint8Array>
  /**
   * Opens a layer again without the index through which reading it has failed; what was found in it
   * must be looked for again. False where no index can be at fault.
   */
  distrust(layer: number, error: unknown): boolean
  /**
   * True when all indexes that were looked into agree with their layers, as far as a small part of
   * each tells. False when one did not: it is distrusted. `except`: of a layer that is read anyway.
   */
  probe(except?: number): Promise<boolean>
}

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
  if (options.index && options.wholeLayers) {
    throw new S3loError('USAGE', 'an index is of no use where layers are read whole', {
      hint: 'leave out --index or --whole-layers',
    })
  }
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const root = await store.read(reference, options)
  const kept = new KeptIndexes(store.backend, reader?.name ?? '', options)
  const whole = root.manifest
  // Which layer comes first is known already, while the platform may have to be read from a config.
  const usesIndexes = reader !== undefined && !options.wholeLayers
  if (usesIndexes && whole.kind === 'manifest') kept.prefetch(whole.layers.at(-1))
  const image = await selectRoot(store, root, { kind: 'run', platform }, options)
  const { manifest } = image
  if (manifest.kind !== 'manifest') {
    throw new S3loError('UNSUPPORTED', `${image.descriptor.digest} is no container image`)
  }
  const opener = new LayerOpener(
    store,
    { name: reference.name, root, image },
    reader,
    kept,
    keep,
    options,
  )
  return new OpenedFiles(opener, manifest.layers)
}

class OpenedFiles implements ImageFiles {
  readonly files: MergedFiles
  readonly layers: readonly Descriptor[]
  readonly #opener: LayerOpener
  readonly #opened = new Map<number, OpenedLayer>()
  readonly #distrusted = new Set<number>()
  /** Of layers that an index was opened for. */
  readonly #probes = new Map<number, Promise<unknown>>()

  constructor(opener: LayerOpener, layers: readonly Descriptor[]) {
    this.#opener = opener
    this.layers = layers
    this.files = new MergedFiles(layers.length, (layer) => this.#open(layer))
  }

  readonly fetched = (): number => this.#opener.fetched

  close(): void {
    this.#opener.close()
  }

  read(layer: number, entry: TocEntry, options?: CallOptions): AsyncIterable<Uint8Array> {
    return this.#opened.get(layer)?.reader.read(entry, options) ?? Readable.from([])
  }

  distrust(layer: number, error: unknown): boolean {
    const opened = this.#opened.get(layer)
    if (!opened?.byIndex || this.#distrusted.has(layer) || !isIndexFault(error)) return false
    this.#opener.noticeFault(error)
    this.#distrusted.add(layer)
    this.#opened.delete(layer)
    this.#probes.delete(layer)
    this.files.forget(layer)
    return true
  }

  async probe(except?: number): Promise<boolean> {
    const layers = [...this.#opened.keys()].filter((layer) => layer !== except)
    const errors = await Promise.all(layers.map((layer) => this.#startProbe(layer)))
    let agrees = true
    for (const [i, layer] of layers.entries()) {
      if (errors[i] === undefined) continue
      if (!this.distrust(layer, errors[i])) throw errors[i]
      agrees = false
    }
    return agrees
  }

  /** Resolves with the error. */
  #startProbe(layer: number): Promise<unknown> {
    const opened = this.#opened.get(layer)
    const isDue = opened?.byIndex === true && !this.#distrusted.has(layer)
    const probe =
      this.#probes.get(layer) ??
      (isDue ? this.#opener.probe(opened.reader) : Promise.resolve(undefined))
    this.#probes.set(layer, probe)
    return probe
  }

  async #open(layer: number): Promise<LayerTree> {
    // What was opened before did not have it all: that is compared while this one is fetched.
    for (const other of this.#opened.keys()) void this.#startProbe(other)
    const descriptor = this.layers[layer]
    if (!descriptor) throw new S3loError('INTERNAL', `there is no layer ${layer}`)
    const below = layer === 0 ? undefined : this.layers[layer - 1]
    const opened = this.#distrusted.has(layer)
      ? await this.#opener.openAgain(descriptor)
      : await this.#opener.open(descriptor, below)
    this.#opened.set(layer, opened)
    try {
      return new LayerTree(opened.reader.entries)
    } catch (error) {
      if (!this.distrust(layer, error)) throw error
      return this.#open(layer)
    }
  }
}

/** What may be wrong with an index, of which the layer is free. */
const INDEX_FAULTS: ReadonlySet<ErrorCode> = new Set(['INTEGRITY', 'UNSUPPORTED', 'NOT_FOUND'])

function isIndexFault(error: unknown): error is S3loError {
  return isS3loError(error) && INDEX_FAULTS.has(error.code)
}

interface OpenedLayer {
  readonly reader: LayerReader
  /** An index that was there says what is in the layer, which was not read whole. */
  readonly byIndex: boolean
}

/** Opens layers in the cheapest way there is, and counts what that takes. */
class LayerOpener {
  #fetched = 0
  readonly #reader: NamedLayerReader | undefined
  readonly #kept: KeptIndexes
  readonly #keep: (entry: TocEntry) => boolean
  readonly #options: ImageFilesOptions
  readonly #context: LayerReaderContext
  readonly #plain: PlainLayers
  readonly #tables: LayerTables

  constructor(
    store: ImageStore,
    { name, ...documents }: Pick<LayerReaderContext, 'root' | 'image'> & { readonly name: string },
    reader: NamedLayerReader | undefined,
    kept: KeptIndexes,
    keep: (entry: TocEntry) => boolean,
    options: ImageFilesOptions,
  ) {
    this.#reader = reader
    this.#kept = kept
    this.#keep = keep
    this.#options = options
    const { signal } = options
    this.#context = { ...documents, signal, source: this.#counted(store, name), indexes: kept }
    const count = (bytes: number): void => this.#count(bytes)
    this.#plain = new PlainLayers(store, documents.image, count)
    this.#tables = new LayerTables(store.backend, this.#plain, count)
  }

  /** Bytes of layers and of their indexes so far. */
  get fetched(): number {
    return Math.round(this.#fetched) + this.#kept.fetched
  }

  close(): void {
    this.#kept.close()
  }

  /** `below` is the layer that is needed where this one does not have what is looked for. */
  async open(layer: Descriptor, below: Descriptor | undefined): Promise<OpenedLayer> {
    const { signal, wholeLayers = false } = this.#options
    if (wholeLayers) return this.#openWhole(layer)
    const listed = await this.#orNotice(this.#tables.open(layer, { signal }))
    if (listed) return { reader: listed, byIndex: true }
    const module = this.#reader?.module
    if (!module) return this.openAgain(layer)
    this.#kept.prefetch(below)
    const found = await this.#orNotice(module.openLayer(layer, this.#context))
    return found ? { reader: found, byIndex: true } : this.openAgain(layer)
  }

  /** A broken index costs time, and never the file: the layer itself is what counts. */
  async #orNotice(opening: Promise<LayerReader | undefined>): Promise<LayerReader | undefined> {
    try {
      return await opening
    } catch (error) {
      if (!isIndexFault(error)) throw error
      this.noticeFault(error)
      return undefined
    }
  }

  /** Opens the layer by reading all of it, and makes an index of it where that is wanted. */
  async openAgain(layer: Descriptor): Promise<OpenedLayer> {
    const { index = false, signal } = this.#options
    if (!index) return this.#openWhole(layer)
    const made =
      (await this.#tables.make(layer, { signal })) ??
      (await this.#reader?.module.indexLayer(layer, this.#context))
    if (made) return { reader: made, byIndex: false }
    this.#notice('layer-not-indexed', `layer ${layer.digest} cannot be indexed`)
    return this.#openWhole(layer)
  }

  /** Resolves with the error, so that none is unhandled. */
  async probe(reader: LayerReader): Promise<unknown> {
    const { signal } = this.#options
    try {
      await reader.probe?.({ signal })
      return undefined
    } catch (error) {
      return error
    }
  }

  noticeFault({ message }: S3loError): void {
    const what = `${message}; reading the whole layer (--index makes a new index of it)`
    this.#notice('layer-index-broken', what)
  }

  async #openWhole(layer: Descriptor): Promise<OpenedLayer> {
    const { signal } = this.#options
    const plain = await this.#plain.find(layer, { signal })
    const { source } = this.#context
    const reader = await streamLayer(source, layer, { keep: this.#keep, plain, signal })
    return { reader, byIndex: false }
  }

  #notice(code: string, message: string): void {
    this.#options.onProgress?.({ type: 'notice', code, message })
  }

  #count(bytes: number): void {
    this.#fetched += bytes
  }

  #counted(store: ImageStore, repository: string): LayerSource {
    return {
      name: store.name,
      fetch: async (descriptor, options) =>
        metered(await store.fetch(descriptor, { repository, ...options }), (bytes) =>
          this.#count(bytes),
        ),
      referrers: (subject, options) => store.referrers(repository, subject, options),
    }
  }
}
