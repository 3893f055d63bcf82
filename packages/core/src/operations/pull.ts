import { transferImage } from '../graph/transfer.ts'
import type { TargetEnd } from '../graph/transfer-request.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { totalSize } from '../oci/descriptor.ts'
import { parsePlatform } from '../oci/platform.ts'
import { successors } from '../oci/document.ts'
import { formatImageName } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { OperationOptions, VerifyOptions } from './options.ts'
import { verification, verifiedDigest } from './verify-source.ts'

export interface PullOptions extends OperationOptions, VerifyOptions {
  /** `os/arch[/variant]`; default the host's. */
  readonly platform?: string | undefined
}

/** What a pull brought; field names are those of `--output json`. */
export interface PullResult {
  readonly ref: string
  readonly image_tag: string
  /** Of the platform's manifest. */
  readonly digest: string
  /** Config and layers as the manifest lists them. */
  readonly bytes: number
  /** Of the manifest that was verified, even if the tag was moved since; there with `verifySource`. */
  readonly verified_digest?: string
  readonly blobs_copied: number
  /** Blobs that were there already. */
  readonly blobs_skipped: number
  readonly bytes_copied: number
}

/** Brings one platform of an image from a store to an engine, archive or layout. */
export async function pull(
  store: ImageStore,
  from: StoreReference,
  to: TargetEnd,
  options: PullOptions = {},
): Promise<PullResult> {
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const source = { source: store, reference: from }
  const { plan, sourceRoot, ...moved } = await transferImage(source, to, {
    ...options,
    ...verification(source, options),
    selection: { kind: 'run', platform },
  })
  const { descriptor, manifest } = plan.root
  return {
    ref: formatReference(from),
    image_tag: formatImageName(to.reference),
    digest: descriptor.digest,
    bytes: totalSize(successors(manifest)),
    ...verifiedDigest(sourceRoot.descriptor, options),
    blobs_copied: moved.blobsCopied,
    blobs_skipped: moved.blobsSkipped,
    bytes_copied: moved.bytesCopied,
  }
}
