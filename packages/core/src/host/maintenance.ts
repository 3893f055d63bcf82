import type { CallOptions } from '../contract/call-options.ts'
import type { StoreLocation } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { parseConfigReference, parseStoreReference } from '../layout/store-reference.ts'
import type { CleanOptions, CleanResult } from '../operations/clean.ts'
import type { DoctorOptions, DoctorResult } from '../operations/doctor.ts'
import type { ImageConfigResult, StoreConfigResult } from '../operations/get-config.ts'
import type { InitResult } from '../operations/init.ts'
import type { LayerSharingResult } from '../operations/layer-sharing.ts'
import type { OperationOptions } from '../operations/options.ts'
import type { RecommendOptions, RecommendResult } from '../operations/recommend.ts'
import type { SetConfigResult } from '../operations/set-config.ts'
import type { StatsOptions, StatsResult } from '../operations/stats.ts'
import type { ImageStore } from '../store/image-store.ts'
import { findReader } from './image-files.ts'
import type { Opener } from './opener.ts'

/** The operations that look after a store: its settings, figures and health. */
export interface Maintenance {
  /** Makes a bucket or folder a store. What is there is never overwritten. */
  init(store: string, options?: CallOptions): Promise<InitResult>
  /** What a store's `s3lo.yaml` sets, of every scope. Throws `INTEGRITY` when it is not valid. */
  storeConfig(store: string, options?: CallOptions): Promise<StoreConfigResult>
  /** What holds for an image or glob, each value with its source. Throws `INTEGRITY`. */
  imageConfig(image: string, options?: CallOptions): Promise<ImageConfigResult>
  /** Sets `key=value` pairs for a store, an image or a glob, in one write; an empty value unsets. */
  setConfig(
    reference: string,
    settings: readonly string[],
    options?: CallOptions,
  ): Promise<SetConfigResult>
  /** Unsets one key of a store, an image or a glob, or without a key all that is set for it. */
  removeConfig(reference: string, key?: string, options?: CallOptions): Promise<SetConfigResult>
  /** How a bucket could be kept better. Changes nothing. */
  recommend(store: string, options?: RecommendOptions): Promise<RecommendResult>
  /** What a store holds and costs; a path after the bucket narrows images and tags by name. */
  stats(store: string, options?: StatsOptions): Promise<StatsResult>
  /** Which tags share which layers; a path after the bucket narrows them by name. */
  layerSharing(store: string, options?: OperationOptions): Promise<LayerSharingResult>
  /** Checks a store; a path after the bucket narrows the images that are looked at. */
  doctor(store: string, options?: DoctorOptions): Promise<DoctorResult>
  /**
   * Deletes tags that the rules drop and content that nothing needs, or says what it would. A path
   * after the bucket narrows the tags. What kept it from its work is in the result.
   */
  clean(store: string, options?: CleanOptions): Promise<CleanResult>
}

/** See `Maintenance.init`. */
export async function initStore(
  opener: Opener,
  store: string,
  options: CallOptions = {},
): Promise<InitResult> {
  const location = wholeStore(store)
  const { init } = await import('../operations/init.ts')
  return opener.withBackend(location, options, (backend) => init(backend, options))
}

/** See `Maintenance.storeConfig`. */
export async function readStoreConfig(
  opener: Opener,
  store: string,
  options: CallOptions = {},
): Promise<StoreConfigResult> {
  const location = wholeStore(store)
  const { getStoreConfig } = await import('../operations/get-config.ts')
  return opener.withBackend(location, options, (backend) => getStoreConfig(backend, options))
}

/** See `Maintenance.imageConfig`. */
export async function readImageConfig(
  opener: Opener,
  image: string,
  options: CallOptions = {},
): Promise<ImageConfigResult> {
  const location = parseConfigReference(image)
  if (location.image === '') throw new S3loError('USAGE', `${image} names no image`)
  const { getImageConfig } = await import('../operations/get-config.ts')
  return opener.withBackend(location, options, (backend) =>
    getImageConfig(backend, location.image, options),
  )
}

/** See `Maintenance.setConfig`. */
export async function changeConfig(
  opener: Opener,
  reference: string,
  settings: readonly string[],
  options: CallOptions = {},
): Promise<SetConfigResult> {
  const location = parseConfigReference(reference)
  const { setConfig } = await import('../operations/set-config.ts')
  return opener.withBackend(location, options, (backend) =>
    setConfig(backend, location.image, settings, options),
  )
}

/** See `Maintenance.removeConfig`. */
export async function unsetConfig(
  opener: Opener,
  reference: string,
  key?: string,
  options: CallOptions = {},
): Promise<SetConfigResult> {
  const location = parseConfigReference(reference)
  const { removeConfig } = await import('../operations/set-config.ts')
  return opener.withBackend(location, options, (backend) =>
    removeConfig(backend, location.image, key, options),
  )
}

/** See `Maintenance.recommend`. */
export async function recommendSettings(
  opener: Opener,
  store: string,
  options: RecommendOptions = {},
): Promise<RecommendResult> {
  const location = wholeStore(store)
  const { recommend } = await import('../operations/recommend.ts')
  return opener.withBackend(location, options, (backend) => recommend(backend, options))
}

/** See `Maintenance.stats`. */
export async function measureStore(
  opener: Opener,
  store: string,
  options: StatsOptions = {},
): Promise<StatsResult> {
  const { stats } = await import('../operations/stats.ts')
  return withFilter(opener, store, options, (opened, filter) => stats(opened, filter, options))
}

/** See `Maintenance.layerSharing`. */
export async function measureSharing(
  opener: Opener,
  store: string,
  options: OperationOptions = {},
): Promise<LayerSharingResult> {
  const { layerSharing } = await import('../operations/layer-sharing.ts')
  return withFilter(opener, store, options, (opened, filter) =>
    layerSharing(opened, filter, options),
  )
}

/** See `Maintenance.doctor`. */
export async function examineStore(
  opener: Opener,
  store: string,
  options: DoctorOptions = {},
): Promise<DoctorResult> {
  const { doctor } = await import('../operations/doctor.ts')
  const reader = options.reader ?? (options.deep ? await findReader(opener) : undefined)
  return withFilter(opener, store, options, (opened, filter) =>
    doctor(opened, filter, { ...options, reader }),
  )
}

/** See `Maintenance.clean`. */
export async function cleanStore(
  opener: Opener,
  store: string,
  options: CleanOptions = {},
): Promise<CleanResult> {
  const { clean } = await import('../operations/clean.ts')
  return withFilter(opener, store, options, (opened, filter) => clean(opened, filter, options))
}

async function withFilter<T>(
  opener: Opener,
  store: string,
  options: CallOptions,
  use: (opened: ImageStore, filter: string) => Promise<T>,
): Promise<T> {
  const location = parseStoreReference(store)
  const { ImageStore: Store } = await import('../store/image-store.ts')
  return opener.withBackend(location, options, (backend) =>
    use(new Store(backend), location.filter),
  )
}

/** Throws `USAGE` for a reference that goes on after the bucket. */
function wholeStore(store: string): StoreLocation {
  const { filter, ...location } = parseStoreReference(store)
  if (filter === '') return location
  throw new S3loError('USAGE', `${store} names an image, not a store`, {
    hint: `leave ${filter.slice(0, -1)} out`,
  })
}
