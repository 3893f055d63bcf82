import type { CallOptions } from './contract/call-options.ts'
import type { StoreLocation } from './contract/storage-backend.ts'
import { type HostOptions, Opener } from './host/opener.ts'
import type { CopyOptions, CopyResult } from './operations/copy.ts'
import type { CopyTagsOptions, CopyTagsResult } from './operations/copy-tags.ts'
import type { DeleteOptions, DeleteResult } from './operations/delete-tag.ts'
import type { HistoryOptions, ImageHistory, TagHistory } from './operations/history.ts'
import type { InspectResult } from './operations/inspect.ts'
import type { ListedImage } from './operations/list.ts'
import type { PullOptions, PullResult } from './operations/pull.ts'
import type { PushOptions, PushResult } from './operations/push.ts'
import type { ImageStore } from './store/image-store.ts'

export type { HostOptions } from './host/opener.ts'

/** The operations of s3lo, by reference string: what the command line runs and libraries use. */
export interface Host {
  /** Publishes an image of the engine (a bare name) or of a transport in a store. */
  push(image: string, destination: string, options?: PushOptions): Promise<PushResult>
  /** Brings an image to the engine (default, as `image:tag`) or to a transport. */
  pull(reference: string, target?: string, options?: PullOptions): Promise<PullResult>
  /** Copies an image between any two of store, registry (a bare name), engine and archive. */
  copy(source: string, destination: string, options?: CopyOptions): Promise<CopyResult>
  /**
   * Copies the tags of an image that a pattern selects (`ghcr.io/org/app:v1.*`), or all of them when
   * the source has no tag. The destination is an image without a tag.
   */
  copyTags(source: string, destination: string, options?: CopyTagsOptions): Promise<CopyTagsResult>
  /** The images of a store; a path after the bucket narrows them by name. */
  list(store: string, options?: CallOptions): Promise<readonly ListedImage[]>
  inspect(reference: string, options?: CallOptions): Promise<InspectResult>
  delete(reference: string, options?: DeleteOptions): Promise<DeleteResult>
  /** Deletes every tag of an image; its nested images are not touched. */
  deleteAllTags(image: string, options?: DeleteOptions): Promise<readonly DeleteResult[]>
  /** The images of a store by their last push. */
  storeHistory(store: string, options?: HistoryOptions): Promise<readonly ImageHistory[]>
  /** The writes of an image's tags, or of one tag when the reference names it. */
  imageHistory(image: string, options?: HistoryOptions): Promise<readonly TagHistory[]>
  /** The store itself, for what no operation does. To be closed by the caller. */
  openStore(location: StoreLocation, options?: CallOptions): Promise<ImageStore>
}

/** Makes a host of plugins. Nothing is loaded or connected before an operation needs it. */
export function createHost(options: HostOptions = {}): Host {
  const opener = new Opener(options)
  const transfers = () => import('./host/transfers.ts')
  const contents = () => import('./host/contents.ts')
  return {
    push: async (...args) => (await transfers()).pushImage(opener, ...args),
    pull: async (...args) => (await transfers()).pullImage(opener, ...args),
    copy: async (...args) => (await transfers()).copyImage(opener, ...args),
    copyTags: async (...args) => (await transfers()).copyImageTags(opener, ...args),
    list: async (...args) => (await contents()).listImages(opener, ...args),
    inspect: async (...args) => (await contents()).inspectImage(opener, ...args),
    delete: async (...args) => (await contents()).deleteImage(opener, ...args),
    deleteAllTags: async (...args) => (await contents()).deleteImageTags(opener, ...args),
    storeHistory: async (...args) => (await contents()).readStoreHistory(opener, ...args),
    imageHistory: async (...args) => (await contents()).readImageHistory(opener, ...args),
    openStore: (...args) => opener.openStore(...args),
  }
}
