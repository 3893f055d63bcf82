import {
  type Descriptor,
  ImageStore,
  isDigest,
  layerIndexesPrefix,
  readAll,
  totalSize,
} from '@s3lo/core'
import {
  type CallOptions,
  forEachConcurrent,
  type IndexCheck,
  isS3loError,
  type ProgressOptions,
  S3loError,
  type StorageBackend,
  type WrongIndex,
} from '@s3lo/core/plugin'
import { artifactEntryTypeLayer } from './artifacts/artifacts-db.ts'
import { sociLayerMediaType } from './index/soci-index.ts'
import { MAX_ZTOC_BYTES, openLayerZtoc } from './kept-ztoc.ts'
import { StoreArtifacts } from './store-artifacts.ts'
import { buildZtoc } from './ztoc/build.ts'
import { findDifference } from './ztoc/compare.ts'
import type { OpenZtoc } from './ztoc/read.ts'
import { parseGzipZinfo, parseTarZinfo } from './ztoc/zinfo.ts'

/** Layers that are read at once. */
const LAYERS_AT_ONCE = 2

/** What a store has for one layer. */
interface Candidates {
  readonly layer: Descriptor
  readonly isKept: boolean
  /** zTOCs that are recorded. */
  readonly recorded: readonly Descriptor[]
}

/** Compares each zTOC that is kept beside one of the layers, or recorded, with a new one of the layer. */
export async function checkIndexes(
  backend: StorageBackend,
  layers: Iterable<Descriptor>,
  { signal: outer, onProgress }: CallOptions & ProgressOptions = {},
): Promise<IndexCheck> {
  const artifacts = new StoreArtifacts(new ImageStore(backend))
  const candidates = await findCandidates(artifacts, layers, { signal: outer })
  const bytes = totalSize(candidates.map(({ layer }) => layer))
  onProgress?.({ type: 'plan', blobs: candidates.length, bytes })
  const wrong: WrongIndex[] = []
  let compared = 0
  await forEachConcurrent(
    candidates,
    LAYERS_AT_ONCE,
    async (candidate, signal) => {
      const { layer: descriptor } = candidate
      const check = new LayerCheck(artifacts, descriptor, { signal, onProgress })
      onProgress?.({ type: 'blob', phase: 'start', descriptor, platform: 'single' })
      const count = await check.run(candidate)
      compared += count
      onProgress?.({ type: 'blob', phase: 'done', descriptor, platform: 'single' })
      wrong.push(...check.wrong)
    },
    outer,
  )
  return { compared, wrong: wrong.toSorted((a, b) => (a.message < b.message ? -1 : 1)) }
}

async function findCandidates(
  artifacts: StoreArtifacts,
  layers: Iterable<Descriptor>,
  options: CallOptions,
): Promise<readonly Candidates[]> {
  const prefix = layerIndexesPrefix('soci')
  const kept = new Set<string>()
  for await (const { key } of artifacts.store.backend.list(prefix, options)) {
    const digest = key.slice(prefix.length).replace('/', ':')
    if (isDigest(digest)) kept.add(digest)
  }
  const recorded = new Map<string, Descriptor[]>()
  for await (const { type, originalDigest, digest, size } of artifacts.db.entries(options)) {
    if (type !== artifactEntryTypeLayer) continue
    const known = recorded.get(originalDigest) ?? []
    known.push({ mediaType: sociLayerMediaType, digest, size })
    recorded.set(originalDigest, known)
  }
  const found: Candidates[] = []
  for (const layer of layers) {
    const isKept = kept.has(layer.digest)
    const own = recorded.get(layer.digest) ?? []
    if (isKept || own.length > 0) found.push({ layer, isKept, recorded: own })
  }
  return found
}

/** Compares what a store has for one layer with the layer, which is read once for each span size. */
class LayerCheck {
  readonly wrong: WrongIndex[] = []
  readonly #artifacts: StoreArtifacts
  readonly #layer: Descriptor
  readonly #options: CallOptions & ProgressOptions
  readonly #right = new Map<string, Promise<OpenZtoc | undefined>>()
  /** Bytes: what is read again, in spans of another size, is not reported again. */
  #reported = 0

  constructor(
    artifacts: StoreArtifacts,
    layer: Descriptor,
    options: CallOptions & ProgressOptions,
  ) {
    this.#artifacts = artifacts
    this.#layer = layer
    this.#options = options
  }

  /** How many were compared. */
  async run({ isKept, recorded }: Candidates): Promise<number> {
    let compared = 0
    const { digest: layer } = this.#layer
    if (isKept) {
      compared += 1
      await this.#compare(`the index that is kept beside layer ${layer}`, async () => {
        const { opened } = await this.#artifacts.openKept(this.#layer, this.#options)
        return opened
      })
    }
    for (const ztoc of recorded) {
      // A record may outlive its zTOC: rebuilding the records is what that needs.
      if (!(await this.#isThere(ztoc))) continue
      compared += 1
      await this.#compare(`zTOC ${ztoc.digest} of layer ${layer}`, async () => {
        const stream = await this.#artifacts.fetch(ztoc, this.#options)
        return openLayerZtoc(await readAll(stream, MAX_ZTOC_BYTES, ztoc.digest), this.#layer)
      })
    }
    return compared
  }

  async #isThere(ztoc: Descriptor): Promise<boolean> {
    try {
      const range = { start: 0, end: 1 }
      const content = await this.#artifacts.fetch(ztoc, { ...this.#options, range })
      content.destroy()
      return true
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return false
      if (isS3loError(error, 'INTEGRITY')) return true
      throw error
    }
  }

  async #compare(name: string, open: () => Promise<OpenZtoc>): Promise<void> {
    const difference = await this.#difference(open)
    if (difference === undefined) return
    this.wrong.push({ layer: this.#layer.digest, message: `${name} is wrong: ${difference}` })
  }

  async #difference(open: () => Promise<OpenZtoc>): Promise<string | undefined> {
    try {
      const found = await open()
      const right = await this.#build(found)
      return right && findDifference(found, right)
    } catch (error) {
      if (isS3loError(error, 'INTEGRITY')) return error.message
      throw error
    }
  }

  /** The right zTOC; `undefined` for a layer that cannot be read whole, which is not the index's fault. */
  #build({ ztoc }: OpenZtoc): Promise<OpenZtoc | undefined> {
    const { algorithm, checkpoints } = ztoc
    const { spanSize } =
      algorithm === 'gzip' ? parseGzipZinfo(checkpoints) : parseTarZinfo(checkpoints)
    const key = `${algorithm} ${spanSize}`
    const building = this.#right.get(key) ?? this.#read(spanSize)
    this.#right.set(key, building)
    return building
  }

  async #read(spanSize: number): Promise<OpenZtoc | undefined> {
    const { signal } = this.#options
    const descriptor = this.#layer
    let position = 0
    try {
      const content = await this.#artifacts.store.fetch(descriptor, { signal })
      const built = await buildZtoc(content, {
        spanSize,
        signal,
        onRead: (length) => this.#report((position += length)),
      })
      return openLayerZtoc(built.content, descriptor)
    } catch (error) {
      if (!isS3loError(error, 'UNSUPPORTED')) {
        if (isS3loError(error, 'INTEGRITY') || isS3loError(error, 'NOT_FOUND')) return undefined
        throw error
      }
      throw new S3loError('INTEGRITY', `the layer can have no index: ${error.message}`)
    }
  }

  #report(position: number): void {
    const delta = position - this.#reported
    if (delta <= 0) return
    this.#reported = position
    this.#options.onProgress?.({ type: 'bytes', descriptor: this.#layer, delta })
  }
}
