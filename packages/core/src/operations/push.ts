import { chunkedSetting } from '../config/effective-config.ts'
import { contentSize, type GraphPlan } from '../graph/plan.ts'
import { transferImage } from '../graph/transfer.ts'
import type { SourceEnd } from '../graph/transfer-request.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { ImageStore } from '../store/image-store.ts'
import { PlannedStore } from '../store/planned-store.ts'
import type { ForceOptions, OperationOptions, PublishOptions } from './options.ts'
import { assertTagged, tagPolicy } from './tag-policy.ts'

export interface PushOptions extends OperationOptions, ForceOptions, PublishOptions {
  /** `os/arch[/variant]`: which platform of several; default the only one, else the host's. */
  readonly platform?: string | undefined
  /** Publish the index with all its platforms and attestations. */
  readonly allPlatforms?: boolean | undefined
  /** Writes nothing: the result says what would be sent. The source is read as far as that needs. */
  readonly dryRun?: boolean | undefined
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
  /** There and true when nothing was written: the other fields say what would be. */
  readonly dry_run?: true
  /** With `dry_run`: each config and layer. */
  readonly blobs?: readonly PlannedPushBlob[]
}

/** What a push would do with a config or layer. */
export interface PlannedPushBlob {
  /** As it would be stored. */
  readonly digest: string
  readonly media_type: string
  readonly size: number
  /** True where the store has all of its content already. */
  readonly exists: boolean
  readonly bytes_uploaded: number
  /** Of a layer that was read and would be stored in chunks. */
  readonly chunks?: number
  readonly chunks_uploaded?: number
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
  const compressLayers = chunkedSetting(await store.config(options), to.name) !== false
  const planned = options.dryRun ? new PlannedStore(store) : undefined
  const { plan, ...moved } = await transferImage(
    from,
    { target: planned ?? store, reference: to },
    {
      ...options,
      compressLayers,
      selection: options.allPlatforms ? { kind: 'all' } : { kind: 'choose', platform },
      admit: policy.admit,
      beforeTag: async ({ root }) => {
        if (!planned) await options.beforePublish?.(root, to)
      },
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
    ...(planned ? { dry_run: true, blobs: plannedBlobs(plan, planned) } : {}),
  }
}

function plannedBlobs(
  { blobs }: Pick<GraphPlan, 'blobs'>,
  { writes }: Pick<PlannedStore, 'writes'>,
): readonly PlannedPushBlob[] {
  return blobs.map(({ descriptor: { digest, mediaType, size } }) => {
    const { exists = true, bytes = 0, chunks } = writes.get(digest) ?? {}
    return {
      digest,
      media_type: mediaType,
      size,
      exists,
      bytes_uploaded: bytes,
      ...(chunks ? { chunks: chunks.all, chunks_uploaded: chunks.sent } : {}),
    }
  })
}
