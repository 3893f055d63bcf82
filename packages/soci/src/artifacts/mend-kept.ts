import { type Descriptor, isDigest, layerIndexesPrefix } from '@s3lo/core'
import type { CallOptions } from '@s3lo/core/plugin'
import {
  type Index,
  indexAnnotationImageLayerDigest,
  sociLayerMediaType,
} from '../index/soci-index.ts'
import type { StoreArtifacts } from '../store-artifacts.ts'

/** The zTOCs that the SOCI indexes of a store name, by the digests of their layers. */
export class NamedZtocs {
  readonly #byLayer = new Map<string, Descriptor[]>()

  add({ blobs }: Pick<Index, 'blobs'>): void {
    for (const blob of blobs) {
      const layer = blob.annotations?.[indexAnnotationImageLayerDigest]
      if (layer === undefined || blob.mediaType !== sociLayerMediaType) continue
      const known = this.#byLayer.get(layer)
      if (known) known.push(blob)
      else this.#byLayer.set(layer, [blob])
    }
  }

  of(layer: string): readonly Descriptor[] {
    return this.#byLayer.get(layer) ?? []
  }
}

/** The digests of the layers whose kept zTOC was wrong. */
export interface MendedLayers {
  /** What an index names was written in its place. */
  readonly replaced: readonly string[]
  /** No index names one: it was removed. */
  readonly dropped: readonly string[]
}

/**
 * Makes every zTOC that is kept beside a layer one that an index of that layer names; where none
 * does, a whole one that is labelled as this layer's stays. No layer is read.
 */
export async function mendKept(
  artifacts: StoreArtifacts,
  named: NamedZtocs,
  options?: CallOptions,
): Promise<MendedLayers> {
  const replaced: string[] = []
  const dropped: string[] = []
  const prefix = layerIndexesPrefix('soci')
  const keys = await Array.fromAsync(
    artifacts.store.backend.list(prefix, options),
    ({ key }) => key,
  )
  for (const key of keys) {
    const layer = key.slice(prefix.length).replace('/', ':')
    if (!isDigest(layer)) continue
    const blobs = named.of(layer)
    const kept = await artifacts.keptZtoc(layer, options)
    const isRight = blobs.length === 0 || blobs.some(({ digest }) => digest === kept)
    if (kept !== undefined && isRight) continue
    const [blob] = blobs
    if (blob) {
      await artifacts.keepZtocs({ blobs: [blob] }, options)
      replaced.push(layer)
    } else {
      const [failure] = await artifacts.store.backend.delete([key], options)
      if (failure) throw failure.error
      dropped.push(layer)
    }
  }
  return { replaced, dropped }
}
