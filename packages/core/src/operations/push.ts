import { isChunked } from '../config/effective-config.ts'
import { contentSize } from '../graph/plan.ts'
import { transferImage } from '../graph/transfer.ts'
import type { SourceEnd } from '../graph/transfer-request.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { ForceOptions, OperationOptions, PublishOptions } from './options.ts'
import { assertTagged, tagPolicy } from './tag-policy.ts'

export interface PushOptions extends OperationOptions, ForceOptions, PublishOptions {
  /** `os/arch[/variant]`: which platform of several; default the only one, else the host's. */
  readonly platform?: string | undefined
  /** Publish the index with all its platforms and attestations. */
  readonly allPlatforms?: boolean | undefined
}

/** What a push published; field names are those of `--output json`. */
export interface PushResult {
  readonly ref: string
  /** Of the published manifest or index. */
  readonly digest: string
  /** Configs and layers of the image, each digest once. */
  readonly bytes: number
  /** Of the layers that were read and are stored in chunks. */
  readonly chunks: number
  readonly chunks_uploaded: number
  readonly bytes_uploaded: number
  readonly blobs_uploaded: number
  readonly blobs_skipped: number
}

/** Publishes an image of an engine or archive in a store, under a tag that is written last. */
export async function push(
  from: SourceEnd,
  store: ImageStore,
  to: StoreReference,
  options: PushOptions = {},
): Promise<PushResult> {
  assertTagged(to, 'push to')
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const policy = await tagPolicy(store, to, options)
  const compressLayers = isChunked(await store.config(options), to.name)
  const { plan, ...moved } = await transferImage(
    from,
    { target: store, reference: to },
    {
      ...options,
      compressLayers,
      selection: options.allPlatforms ? { kind: 'all' } : { kind: 'choose', platform },
      admit: policy.admit,
      beforeTag: async ({ root }) => options.beforePublish?.(root, to),
      tagOptions: () => policy.options,
    },
  )
  return {
    ref: formatReference(to),
    digest: plan.root.descriptor.digest,
    bytes: contentSize(plan),
    chunks: moved.chunks ?? 0,
    chunks_uploaded: moved.chunksCopied ?? 0,
    bytes_uploaded: moved.bytesCopied,
    blobs_uploaded: moved.blobsCopied,
    blobs_skipped: moved.blobsSkipped,
  }
}
