import type { BucketConfig } from '../config/bucket-config.ts'
import { stampChunkFormat, takesChunks } from '../config/chunk-format.ts'
import { readConfigDocument } from '../config/edit-config.ts'
import { chunkedSetting } from '../config/effective-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { BLOBS_PREFIX, OWN_PREFIX } from '../layout/keys.ts'

/**
 * In which form a store takes layers that arrive uncompressed. `chunks`: compressed, large ones in chunks
 * of format 2. `blobs`: compressed, each as one blob. `given`: as they arrive.
 */
export type LayerForm = 'chunks' | 'blobs' | 'given'

/** The store that decides. */
export interface LayerFormPlace {
  readonly backend: StorageBackend
  /** May be some seconds old. */
  readonly config: (options?: CallOptions) => Promise<BucketConfig>
}

interface Decision {
  readonly form: LayerForm
  /** By which it was decided. */
  readonly config: BucketConfig
}

/**
 * The form that a store takes layers of an image in, or any layers where no image is named. `chunked` in
 * `s3lo.yaml` decides. Where it says nothing, a store that is stamped with format 2 takes chunks, and so
 * does one without a stamp that has no image yet. A store that has images and no stamp may be read by the
 * Go program, which reads no chunks of format 2: it takes layers as they are, and so does one with
 * another stamp.
 */
export async function plannedLayerForm(
  place: LayerFormPlace,
  image?: string,
  options: CallOptions = {},
): Promise<LayerForm> {
  return (await decide(place, image, options)).form
}

/**
 * As {@link plannedLayerForm}, and stamps the store that is to get chunks. One that refuses the stamp, or
 * has got another one meanwhile, decides without it. Throws `FORBIDDEN` for a refused stamp where `chunked` is set,
 * and `CONFLICT` where another writer stamps the store at this moment with another format.
 */
export async function beginLayerForm(
  place: LayerFormPlace,
  image?: string,
  options: CallOptions = {},
): Promise<LayerForm> {
  const { form, config } = await decide(place, image, options)
  if (form !== 'chunks' || config.chunkFormat !== undefined) return form
  try {
    if (await stampChunkFormat(place.backend, options)) return 'chunks'
  } catch (error) {
    const isWanted = chunkedSetting(config, image) === true
    if (isWanted || !isS3loError(error, 'FORBIDDEN')) throw error
    return 'given'
  }
  return formBy(await freshConfig(place, options), image) ?? 'given'
}

async function decide(
  place: LayerFormPlace,
  image: string | undefined,
  options: CallOptions,
): Promise<Decision> {
  const config = await place.config(options)
  const form = formBy(config, image)
  if (form) return { form, config }
  if (!(await mayHaveImages(place.backend, options))) return { form: 'chunks', config }
  // The stamp is written before the first image: with the one that was seen, it can be read by now.
  const fresh = await freshConfig(place, options)
  return { form: formBy(fresh, image) ?? 'given', config: fresh }
}

/** What a store's settings and stamp decide; `undefined` where neither is there. */
function formBy(config: BucketConfig, image: string | undefined): LayerForm | undefined {
  const chunked = chunkedSetting(config, image)
  if (chunked === false) return 'given'
  if (chunked) return takesChunks(config) ? 'chunks' : 'blobs'
  if (config.chunkFormat === undefined) return undefined
  return takesChunks(config) ? 'chunks' : 'given'
}

async function freshConfig(
  { backend }: LayerFormPlace,
  options: CallOptions,
): Promise<BucketConfig> {
  return (await readConfigDocument(backend, options)).document.config
}

/**
 * False for a store without a tag. Images of layout v1.0.0 have their folders at the top, where anything
 * may lie: any folder there counts as one. So does a listing that is refused.
 */
async function mayHaveImages(backend: StorageBackend, options: CallOptions): Promise<boolean> {
  try {
    for await (const folder of backend.listPrefixes('', options)) {
      // What a push writes before its tag.
      if (folder !== OWN_PREFIX && folder !== BLOBS_PREFIX) return true
    }
    return false
  } catch (error) {
    // A local store that is not there yet.
    if (isS3loError(error, 'NOT_FOUND')) return false
    if (isS3loError(error, 'FORBIDDEN')) return true
    throw error
  }
}
